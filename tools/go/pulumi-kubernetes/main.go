// Pulumi's Kubernetes provider, built from its published Go module.
//
// The module's own main cannot be built from the module alone: it embeds generated files that are not part of it. They
// hold the schema and the Terraform mapping, which serve code generation and conversion; deployments do without.
package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

const module = "github.com/pulumi/pulumi-kubernetes/provider/v4"

// version is that of the pinned module, as go.mod says it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	panic("built without " + module)
}

func main() {
	v := version()
	schema := fmt.Sprintf(`{"name":"kubernetes","version":%q}`, v)
	provider.Serve("kubernetes", v, []byte(schema), []byte("{}"))
}
