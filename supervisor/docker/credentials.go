package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
)

// hub is the name under which credentials for Docker's own registry are kept.
const hub = "https://index.docker.io/v1/"

// credentials returns what Docker's client would send for an image, by its configuration file: a password or token kept
// in it, or one from a credential helper that it names. Empty means none. The file is read each time, so that a login
// counts at once. No error tells a secret.
func credentials(ctx context.Context, file, image string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("docker credentials: %w", err)
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", nil // the pull will say so
	}
	var config struct {
		Auths map[string]struct {
			Auth, IdentityToken, RegistryToken string
		}
		CredHelpers map[string]string
		CredsStore  string
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("docker credentials: %s is not readable as JSON", file)
	}
	domain := reference.Domain(named)
	server := domain
	if domain == "docker.io" {
		server = hub
	}
	helper, ok := config.CredHelpers[server]
	if !ok {
		helper = config.CredsStore
	}
	if helper != "" {
		return fromHelper(ctx, helper, server)
	}
	for key, entry := range config.Auths {
		if key != server && registryHost(key) != registryHost(server) {
			continue
		}
		auth := registry.AuthConfig{
			ServerAddress: server, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
		}
		if entry.Auth != "" {
			pair, err := base64.StdEncoding.DecodeString(entry.Auth)
			user, password, ok := strings.Cut(strings.Trim(string(pair), "\x00"), ":")
			if err != nil || !ok {
				return "", fmt.Errorf("docker credentials: the entry of %s in %s is not readable", key, file)
			}
			auth.Username, auth.Password = user, password
		}
		return authconfig.Encode(auth)
	}
	return "", nil
}

// registryHost reduces the older names of registries, which are URLs, to their host.
func registryHost(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	host, _, _ := strings.Cut(name, "/")
	return host
}

// fromHelper asks the program docker-credential-<helper>.
func fromHelper(ctx context.Context, helper, server string) (string, error) {
	if strings.ContainsAny(helper, `/\`) {
		return "", fmt.Errorf("docker credentials: %q is not the name of a helper", helper)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	program := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	program.Stdin = strings.NewReader(server)
	answer, err := program.Output()
	if bytes.Contains(answer, []byte("credentials not found")) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("docker credentials: docker-credential-%s: %w", helper, err)
	}
	var found struct{ Username, Secret string }
	if err := json.Unmarshal(answer, &found); err != nil {
		return "", fmt.Errorf("docker credentials: docker-credential-%s: its answer is not readable", helper)
	}
	auth := registry.AuthConfig{ServerAddress: server, Username: found.Username, Password: found.Secret}
	if found.Username == "<token>" {
		auth = registry.AuthConfig{ServerAddress: server, IdentityToken: found.Secret}
	}
	return authconfig.Encode(auth)
}
