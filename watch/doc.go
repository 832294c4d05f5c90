// Package watch shows calls and tools in a terminal as they come: as a screen
// with keys ([Screen]), or a line for each thing that happens ([Lines]). It
// reads a store and changes nothing there, so it works beside any backend and on
// any platform's store.
//
// What people say is masked, as on the page of package inspect, until the
// one who looks asks for it.
package watch
