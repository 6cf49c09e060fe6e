package intent

import _ "embed"

// Example is a file of assertions to start from.
//
//go:embed example.yaml
var Example string
