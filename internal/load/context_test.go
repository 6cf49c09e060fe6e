package load

import "context"

// testContext is that of the child processes of tests.
var testContext = context.Background()
