package outward

// Public says that an address is somebody's on the public internet.
var Public = public
