// Package deptest holds the rules of who may import whom, and that the
// documents about the code name what is really there. They are tests.
package deptest
