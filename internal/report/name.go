package report

import "slices"

// Check returns an error for a name that Write would refuse.
func Check(name string) error {
	formats := Formats()
	if slices.ContainsFunc(formats, func(f Format) bool { return f.Name == name }) {
		return nil
	}
	return unknownFormat(name, formats)
}

// Printable makes text safe for a terminal: control characters are written out.
func Printable(s string) string { return printable(s) }

// Cell is text for a cell of CSV: printable, and nothing that a spreadsheet takes for a
// formula.
func Cell(s string) string { return cell(printable(s)) }
