package usage

// Begun waits until the first batch was tried, which happens by itself.
func Begun(u *Counter) { <-u.begun }
