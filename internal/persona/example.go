package persona

import _ "embed"

// Example is a file of personas to start from.
//
//go:embed example.yaml
var Example string
