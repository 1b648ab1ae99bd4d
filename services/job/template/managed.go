package template

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The parameters. A regular expression is of the whole value.
func required(key, description, regex, example string) *v1.TemplateParameter {
	return &v1.TemplateParameter{Key: key, Description: description, Regex: regex, Example: example}
}

func runAsUser() *v1.TemplateParameter {
	return &v1.TemplateParameter{Key: "runAsUser", Description: "The user who runs it; the agent's own if it is left out", Regex: ".{1,256}", Example: "root", Optional: true}
}

func pathToHandler() *v1.TemplateParameter {
	return &v1.TemplateParameter{Key: "pathToHandler", Description: "The folder of the handler on the device; the agent's own if it is left out", Regex: ".+", Example: "/opt/handlers", Optional: true}
}

func packages() *v1.TemplateParameter {
	return required("packages", "The packages, separated by commas or spaces as the handler wants them", ".+", "vim")
}

func services() *v1.TemplateParameter {
	return required("services", "The services, separated by commas or spaces as the handler wants them", ".+", "nginx")
}

// All are the managed templates, by name; each call makes them anew.
func All() []*v1.ManagedTemplate {
	return []*v1.ManagedTemplate{
		handler("AWS-Download-File", "Downloads a file", "download-file.sh",
			required("downloadUrl", "The URL that is downloaded", `\S+`, "https://example.com/firmware.bin"),
			required("filePath", "Where on the device the file is put", ".+", "/tmp/firmware.bin")),
		handler("AWS-Install-Application", "Installs packages", "install-packages.sh", packages()),
		handler("AWS-Reboot", "Reboots the device", "reboot.sh"),
		handler("AWS-Remove-Application", "Removes packages", "remove-packages.sh", packages()),
		handler("AWS-Restart-Application", "Restarts services", "restart-services.sh", services()),
		command(),
		handler("AWS-Start-Application", "Starts services", "start-services.sh", services()),
		handler("AWS-Stop-Application", "Stops services", "stop-services.sh", services()),
	}
}

func managed(name, description, input, kind string, parameters ...*v1.TemplateParameter) *v1.ManagedTemplate {
	document := fmt.Sprintf(`{"version":"1.0","steps":[{"action":{"name":"%s","type":"%s","input":{%s},"runAsUser":"${aws:iot:parameter:runAsUser}"}}]}`,
		strings.TrimPrefix(name, "AWS-"), kind, input)
	return &v1.ManagedTemplate{
		Name: name, Version: Version, Description: description, Environments: []string{"LINUX"},
		Parameters: parameters, Document: []byte(document),
	}
}

// handler runs a script of the device with the required parameters as its arguments, in their order.
func handler(name, description, script string, wanted ...*v1.TemplateParameter) *v1.ManagedTemplate {
	input := fmt.Sprintf(`"handler":"%s",`, script)
	if len(wanted) > 0 {
		var args []string
		for _, p := range wanted {
			args = append(args, `"${aws:iot:parameter:`+p.Key+`}"`)
		}
		input += `"args":[` + strings.Join(args, ",") + `],`
	}
	input += `"path":"${aws:iot:parameter:pathToHandler}"`
	return managed(name, description, input, "runHandler", append(wanted, runAsUser(), pathToHandler())...)
}

func command() *v1.ManagedTemplate {
	return managed("AWS-Run-Command", "Runs a command", `"command":"${aws:iot:parameter:command}"`, "runCommand",
		required("command", `The command and its arguments, separated by commas; a comma within one is written \,`, ".+", "echo,hello"), runAsUser())
}
