package storage_test

import (
	"math"
	"slices"
	"testing"

	"github.com/strikeplate/strikeplate/storage"
)

func TestShares(t *testing.T) {
	for _, c := range []struct {
		waiting []int64
		limit   int
		want    []int
	}{
		{nil, 10, []int{}},
		{[]int64{5}, 10, []int{5}},
		{[]int64{50}, 10, []int{10}},
		{[]int64{50, 50}, 10, []int{5, 5}},
		{[]int64{1, 50, 2}, 10, []int{1, 7, 2}},
		{[]int64{math.MaxInt64, 3, math.MaxInt64}, 11, []int{4, 3, 4}},
		{[]int64{50, 50, 50}, 11, []int{4, 4, 3}},
		{[]int64{9, 9, 9, 9}, 3, []int{1, 1, 1, 0}},
		{[]int64{0, -1, 2}, 10, []int{0, 0, 2}},
		{[]int64{1, 2}, 0, []int{0, 0}},
	} {
		if got := storage.Shares(c.waiting, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("Shares(%v, %d) = %v, want %v", c.waiting, c.limit, got, c.want)
		}
	}
}

func TestBatchSize(t *testing.T) {
	for limit, want := range map[int]int{0: 1000, -1: 1000, 1: 1, 999: 999, 10_000: 10_000, 10_001: 10_000, math.MaxInt: 10_000} {
		if got := storage.BatchSize(limit); got != want {
			t.Errorf("BatchSize(%d) = %d, want %d", limit, got, want)
		}
	}
}
