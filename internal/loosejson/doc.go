// Package loosejson reads JSON of unknown shape: members of objects, text and
// numbers of whatever kind, and where in a body a value is. A value of another
// kind reads as empty; nothing here returns an error.
//
//	id := loosejson.Text(loosejson.Object(body)["id"])
package loosejson
