//go:build !wasip1 && !js

package platform

import "net/http"

// Routes is an [http.Handler]. It has a name of its own because a Worker has no
// space for net/http.
type Routes = http.Handler
