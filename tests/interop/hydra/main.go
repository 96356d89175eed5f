// The command `hydra` of Ory Hydra, built here because `go install` refuses modules with replace directives.
package main

import (
	"io"
	"os"

	"github.com/ory/hydra/v2/cmd"
)

func main() {
	// It ends with the process that started it, however that one ends: its standard input is a pipe from there.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	cmd.Execute()
}
