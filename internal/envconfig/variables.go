package envconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Platform is one on which a backend runs.
type Platform string

// The platforms.
const (
	Server     Platform = "server"
	AWS        Platform = "aws"
	GCP        Platform = "gcp"
	Vercel     Platform = "vercel"
	Cloudflare Platform = "cloudflare"
)

var (
	everywhere = []Platform{Server, AWS, GCP, Vercel, Cloudflare}
	notWorkers = []Platform{Server, AWS, GCP, Vercel}
)

// A variable of the environment. Its texts are Markdown, as they are in docs.
type variable struct {
	name      string
	flag      string // of package server, which goes before
	meaning   string
	standard  string // its default
	platforms []Platform
}

// variables is the whole of what a deployed program reads.
var variables = []variable{
	{"SERVERURL_ADDR", "-addr", "the address to listen on, HOST:PORT", "`:8080`; with `-development` `127.0.0.1:8080`", []Platform{Server}},
	{"PORT", "", "the port to listen on, if `SERVERURL_ADDR` is not set", "8080", []Platform{Server}},
	{"SERVERURL_DATABASE_URL", "-database", "`postgres://…`, or the path of a SQLite file", "`serverurl.db` in `SERVERURL_DATA`", []Platform{Server}},
	{"SERVERURL_DATA", "", "the folder of the SQLite file", "the working directory", []Platform{Server}},
	{"SERVERURL_DEVELOPMENT", "-development", "`1` needs no secret and takes weak ones, on a loopback address only, and prints failures of your own code in full: [server.md](server.md#while-you-develop)", "off", []Platform{Server}},

	{"TABLE_NAME", "", "the DynamoDB table of calls and tool records", "required; `template.yaml` sets it", []Platform{AWS}},
	{"QUEUE_URL", "", "the SQS queue of accepted events", "required; `template.yaml` sets it", []Platform{AWS}},

	{"GOOGLE_CLOUD_PROJECT", "", "the project of the database and the topic", "required; `gcp/deploy.sh` sets it", []Platform{GCP}},
	{"SERVERURL_TOPIC", "", "the Pub/Sub topic of accepted events", "required; `gcp/deploy.sh` sets it", []Platform{GCP}},
	{"SERVERURL_DATABASE", "", "the Firestore database, in native mode", "`(default)`", []Platform{GCP}},
	{"CLOUD_RUN_TIMEOUT_SECONDS", "", "how long a function may run, the same as its `--timeout`", "60", []Platform{GCP}},
	{"PORT", "", "the port to listen on; the runtime sets it", "8080", []Platform{GCP}},
	{"SERVERURL_ADDR", "", "the address on which `Receive` listens instead, HOST:PORT; the emulator sets it", "", []Platform{GCP}},
	{"FUNCTION_TARGET", "", "the function; the runtime sets it. Without it, nothing is read before the first request", "", []Platform{GCP}},

	{"SERVERURL_DATABASE_URL", "", "the pooled connection string of a PostgreSQL database", "`DATABASE_URL`", []Platform{Vercel}},
	{"DATABASE_URL", "", "the same, as Neon's integration sets it", "`POSTGRES_URL`", []Platform{Vercel}},
	{"POSTGRES_URL", "", "the same, as other integrations set it", "required", []Platform{Vercel}},
	{"CRON_SECRET", "", "the secret with which Vercel's cron authenticates, of at least 16 characters", "required", []Platform{Vercel}},
	{"PORT", "", "the port to listen on, for a server; Vercel sets it", "required", []Platform{Vercel}},

	{"SERVERURL_SECRET", "", "the secret with which the sender authenticates; several, separated by commas, during a rotation", "required, or one of the next two", everywhere},
	{"SERVERURL_SIGNING_SECRET", "", "also accept `X-Interactly-Signature` made with this secret", "", everywhere},
	{"SERVERURL_STANDARD_WEBHOOKS_SECRET", "", "also accept Standard Webhooks signatures made with this secret (`whsec_…`)", "", everywhere},
	{"SERVERURL_SECRET" + arn, "", "the secret in Secrets Manager with the value of `SERVERURL_SECRET`", "", []Platform{AWS}},
	{"SERVERURL_SIGNING_SECRET" + arn, "", "the same for `SERVERURL_SIGNING_SECRET`", "", []Platform{AWS}},
	{"SERVERURL_STANDARD_WEBHOOKS_SECRET" + arn, "", "the same for `SERVERURL_STANDARD_WEBHOOKS_SECRET`", "", []Platform{AWS}},

	{"SERVERURL_RETENTION", "", "how long data is stored, such as `content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y`: [operating.md](operating.md#retention)", "forever", everywhere},
	{"SERVERURL_SPOOL", "", "a SQLite file, on a disk that outlives the process, for events that arrive while the database is unavailable: [operating.md](operating.md#when-the-database-is-away)", "they are rejected with 503", []Platform{Server}},
	{"SERVERURL_MAX_INFLIGHT_MIB", "", "MiB of request bodies in memory at a time", "64", []Platform{Server}},
	{"SERVERURL_IDLE_TIMEOUT", "", "how long a connection without requests stays open: [server.md](server.md#behind-a-load-balancer)", "620s", []Platform{Server}},
	{"SERVERURL_SHUTDOWN_DELAY", "", "how long to accept requests after SIGTERM, until a load balancer has noticed: [operating.md](operating.md#restarts)", "0s", []Platform{Server}},
	{"BASE_PATH", "", "what the mapping of a custom domain puts before every path, such as `/voice`", "", []Platform{AWS}},

	{"INTERACTLY_API_KEY", "", "the key of Interactly's API, from which missed events are recovered: [backfill.md](backfill.md)", "they are not recovered", notWorkers},
	{"INTERACTLY_API_KEY" + arn, "", "the secret in Secrets Manager with the value of `INTERACTLY_API_KEY`", "", []Platform{AWS}},
	{"INTERACTLY_API_URL", "", "the root of the API", "`https://api-prod.interactly.ai`", notWorkers},
	{"INTERACTLY_ASSISTANTS", "", "the assistants whose calls are recovered, by id, separated by commas, or `*`; with several tenants `north:ID,south:ID`", "those that had a call here", notWorkers},
}

// arn is the end of the name of a variable that names a secret in Secrets
// Manager with the value.
const arn = "_ARN"

// Table returns the variables of a platform as a Markdown table.
func Table(p Platform) string {
	var b strings.Builder
	b.WriteString("| variable | meaning | default |\n| --- | --- | --- |\n")
	if p == Server {
		b.Reset()
		b.WriteString("| flag | variable | meaning | default |\n| --- | --- | --- | --- |\n")
	}
	for _, v := range of(p) {
		if p == Server {
			fmt.Fprintf(&b, "| %s ", code(v.flag))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(v.name), v.meaning, v.standard)
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// Help returns the variables of a platform as text for a terminal.
func Help(p Platform) string {
	var b strings.Builder
	for _, v := range of(p) {
		fmt.Fprintf(&b, "  %s", v.name)
		if v.flag != "" {
			fmt.Fprintf(&b, ", %s", v.flag)
		}
		fmt.Fprintf(&b, "\n        %s", plain(v.meaning))
		if v.standard != "" {
			fmt.Fprintf(&b, " (default: %s)", plain(v.standard))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var link = regexp.MustCompile(`\[(.*?)\]\(.*?\)`)

func plain(markdown string) string {
	return strings.ReplaceAll(link.ReplaceAllString(markdown, "docs/$1"), "`", "")
}

func of(p Platform) (vs []variable) {
	for _, v := range variables {
		if slices.Contains(v.platforms, p) {
			vs = append(vs, v)
		}
	}
	return vs
}
