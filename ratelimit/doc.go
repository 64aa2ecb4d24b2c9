// Package ratelimit says how much a caller may do: plans, limits, header fields
// that tell them, and engines that count.
package ratelimit
