package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes a command's report: one object, in one line.
func WriteJSON(out io.Writer, report any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(report)
}

// WriteFailure writes why a command failed, in one line.
func WriteFailure(errs io.Writer, command, message, hint string) {
	if hint != "" {
		message += " (" + hint + ")"
	}
	fmt.Fprintf(errs, "%s: %s\n", command, message)
}
