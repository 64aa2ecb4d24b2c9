package policies

import "context"

func (e *Engine) watch(ctx context.Context) error { return nil }
