package authserver_test

import (
	"os"
	"testing"

	"github.com/strikeplate/strikeplate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
