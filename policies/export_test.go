package policies

// CollideAll makes the keys of all remembered decisions share one hash.
func CollideAll(e *Engine) { e.active.Load().remembered.mask = 0 }

// RememberedSize is how many decisions are kept, once those that are too many are
// gone.
func RememberedSize(e *Engine) int {
	d := e.active.Load().remembered.decisions
	d.CleanUp()
	return d.EstimatedSize()
}
