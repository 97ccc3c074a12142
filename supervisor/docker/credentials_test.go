package docker

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/authconfig"
)

func TestPullsCarryTheCredentialsOfDockersClient(t *testing.T) {
	dir := t.TempDir()
	helper := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	helper("store", `read server; printf '{"Username":"of-%s","Secret":"s"}' "$server"`)
	helper("token", `printf '{"Username":"<token>","Secret":"tok"}'`)
	helper("empty", `echo "credentials not found in native keychain"; exit 1`)
	helper("broken", `echo "secret-in-garbage"`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	pair := base64.StdEncoding.EncodeToString([]byte("user:pass:word"))
	for name, c := range map[string]struct {
		config, image string
		user, secret  string
		fails         bool
	}{
		"no file": {image: "127.0.0.1:1/x:1"},
		"a password for the registry": {
			config: `{"auths":{"127.0.0.1:1":{"auth":"` + pair + `"}}}`, image: "127.0.0.1:1/x:1", user: "user", secret: "pass:word",
		},
		"a password for another registry":   {config: `{"auths":{"127.0.0.1:2":{"auth":"` + pair + `"}}}`, image: "127.0.0.1:1/x:1"},
		"a registry named as older Dockers": {config: `{"auths":{"https://127.0.0.1:1/v1/":{"auth":"` + pair + `"}}}`, image: "127.0.0.1:1/x", user: "user", secret: "pass:word"},
		"Docker's own registry":             {config: `{"auths":{"https://index.docker.io/v1/":{"auth":"` + pair + `"}}}`, image: "busybox", user: "user", secret: "pass:word"},
		"a token":                           {config: `{"auths":{"127.0.0.1:1":{"identitytoken":"tok"}}}`, image: "127.0.0.1:1/x:1", secret: "tok"},
		"a store":                           {config: `{"credsStore":"store"}`, image: "127.0.0.1:1/x:1", user: "of-127.0.0.1:1", secret: "s"},
		"a helper of one registry":          {config: `{"credsStore":"broken","credHelpers":{"127.0.0.1:1":"token"}}`, image: "127.0.0.1:1/x:1", secret: "tok"},
		"a store that has none":             {config: `{"credsStore":"empty"}`, image: "127.0.0.1:1/x:1"},
		"a store that is broken":            {config: `{"credsStore":"broken"}`, image: "127.0.0.1:1/x:1", fails: true},
		"a store that is not there":         {config: `{"credsStore":"nosuch"}`, image: "127.0.0.1:1/x:1", fails: true},
		"a store that is a path":            {config: `{"credsStore":"../x"}`, image: "127.0.0.1:1/x:1", fails: true},
		"garbage":                           {config: `{"auths":[secret-in-garbage`, image: "127.0.0.1:1/x:1", fails: true},
		"an entry that is garbage":          {config: `{"auths":{"127.0.0.1:1":{"auth":"secret-in-garbage"}}}`, image: "127.0.0.1:1/x:1", fails: true},
		"an image that is none":             {config: `{}`, image: "No Image"},
	} {
		file := filepath.Join(t.TempDir(), "config.json")
		if c.config != "" {
			if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		header, err := credentials(t.Context(), file, c.image)
		if (err != nil) != c.fails || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if c.user == "" && c.secret == "" {
			if header != "" {
				t.Errorf("%s: some credentials", name)
			}
			continue
		}
		got, err := authconfig.Decode(header)
		if err != nil || got.Username != c.user || got.Password+got.IdentityToken != c.secret {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}

	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, []byte(`{"auths":{"127.0.0.1:1":{"auth":"`+pair+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := make(chan string, 1)
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if r.Method == http.MethodPost {
			sent <- r.Header.Get("X-Registry-Auth")
		}
	})
	e.opts.ClientConfig = file
	if err := e.Pull(t.Context(), "127.0.0.1:1/x:1"); err != nil {
		t.Fatal(err)
	}
	if got, err := authconfig.Decode(<-sent); err != nil || got.Username != "user" {
		t.Errorf("sent %+v, %v", got, err)
	}
}
