// Reads files for other programs by those programs' own types, strictly: dashboards by Grafana's (its Foundation SDK), job files by
// Nomad's (its API, whose fields have their HCL names). For .ci/nightly: `go run . FILE...`; ends with 1 where a file is wrong.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	isWrong := false
	for _, file := range os.Args[1:] {
		check := checkDashboard
		if strings.HasSuffix(file, ".hcl") {
			check = checkJob
		}
		says, err := check(file)
		if err != nil {
			isWrong = true
			fmt.Printf("%s: %v\n", file, err)
			continue
		}
		fmt.Printf("ok %s: %s\n", file, says)
	}
	if isWrong || len(os.Args) < 2 {
		os.Exit(1)
	}
}
