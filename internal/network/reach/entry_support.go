package reach

import "github.com/RoaringBitmap/roaring/v2"

// Receives are the numbers, as Cell.Peers has them, of those from whom an end may receive
// by a port, as far as policies about itself go.
func (e *Engine) Receives(of End, protocol Protocol, port uint16) *roaring.Bitmap {
	out := roaring.New()
	for _, c := range e.groupOfEnd(Ingress, of).cells {
		if c.Ports.Contains(protocol, port) {
			out.Or(c.Peers)
		}
	}
	return out
}
