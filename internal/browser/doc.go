// Package browser holds tests that drive the Developer page in a real browser:
// what a person does with a key from its creation to its end, with the mouse, by
// keyboard alone and without JavaScript; that every page can be read (axe-core)
// and fits a telephone; pictures of each page; and clients that public
// generators make of the API's document.
//
// The tests build the example servers, start them on loopback and need Chromium.
// It is a module of its own so that nobody who uses the library downloads any of
// that.
package browser
