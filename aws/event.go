package aws

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// A trigger is what invoked the function, which decides the form of the event.
type trigger int

const (
	triggerUnknown  trigger = iota
	triggerURL              // Function URL, and HTTP API with payload 2.0
	triggerREST             // REST API, and HTTP API with payload 1.0
	triggerALB              // load balancer
	triggerALBMulti         // load balancer with lambda.multi_value_headers.enabled
	triggerQueue            // batch of SQS messages
	triggerSchedule         // EventBridge rule or Scheduler
)

// A lambdaEvent is everything that is read of an invocation's payload. Its fields
// belong to different shapes.
type lambdaEvent struct {
	Version     string   `json:"version"`
	RawPath     string   `json:"rawPath"`
	RawQuery    string   `json:"rawQueryString"`
	Cookies     []string `json:"cookies"`
	Resource    string   `json:"resource"`
	Path        string   `json:"path"`
	Method      string   `json:"httpMethod"`
	Headers     fields   `json:"headers"`
	MultiHeader fields   `json:"multiValueHeaders"`
	Query       fields   `json:"queryStringParameters"`
	MultiQuery  fields   `json:"multiValueQueryStringParameters"`
	Body        text     `json:"body"`
	Base64      bool     `json:"isBase64Encoded"`
	Context     struct {
		Stage        string `json:"stage"`
		APIID        string `json:"apiId"`
		DomainName   string `json:"domainName"`
		DomainPrefix string `json:"domainPrefix"`
		ConnectionID string `json:"connectionId"` // WebSocket
		HTTP         struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		Identity struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
		ELB struct {
			TargetGroup string `json:"targetGroupArn"`
		} `json:"elb"`
	} `json:"requestContext"`

	// A request to an authorizer looks like an HTTP request except for these.
	Type      string `json:"type"`
	MethodArn string `json:"methodArn"`
	RouteArn  string `json:"routeArn"`

	Records    []sqsMessage `json:"Records"`
	Source     string       `json:"source"`
	DetailType string       `json:"detail-type"`
}

// An sqsMessage is a message of a queue.
type sqsMessage struct {
	ID         string `json:"messageId"`
	Source     string `json:"eventSource"`
	Receipt    string `json:"receiptHandle"`
	Body       string `json:"body"`
	Attributes struct {
		Receives int `json:"ApproximateReceiveCount,string"`
	} `json:"attributes"`
}

// parse decodes an invocation's payload and returns its trigger, which is unknown
// if the payload does not decode, or looks like two.
func parse(payload []byte) (*lambdaEvent, trigger) {
	e := new(lambdaEvent)
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, triggerUnknown // the error quotes the payload
	}
	return e, e.trigger()
}

func (e *lambdaEvent) trigger() trigger {
	var is []trigger
	if e.isQueue() {
		is = append(is, triggerQueue)
	}
	if e.DetailType == "Scheduled Event" && (e.Source == "aws.events" || e.Source == "aws.scheduler") {
		is = append(is, triggerSchedule)
	}
	isRequest := e.Type == "" && e.MethodArn == "" && e.RouteArn == "" && e.Context.ConnectionID == ""
	switch c := &e.Context; {
	case !isRequest:
	case e.Version == "2.0" && c.HTTP.Method != "" && c.ELB.TargetGroup == "":
		is = append(is, triggerURL)
	case c.ELB.TargetGroup != "" && e.Method != "" && e.Resource == "" && e.Version == "":
		if e.MultiHeader != nil {
			is = append(is, triggerALBMulti)
		} else {
			is = append(is, triggerALB)
		}
	case e.Resource != "" && e.Method != "" && c.Stage != "" && (e.Version == "" || e.Version == "1.0"):
		is = append(is, triggerREST)
	}
	if len(is) != 1 {
		return triggerUnknown
	}
	return is[0]
}

func (e *lambdaEvent) isQueue() bool {
	for _, r := range e.Records {
		if r.Source != "aws:sqs" || r.ID == "" {
			return false
		}
	}
	return len(e.Records) > 0
}

// errBody is returned for a body that is not what isBase64Encoded says.
var errBody = errors.New("aws: body is not base64")

// request returns the HTTP request of an event: the exact bytes of the body, path
// and query as they were sent if the platform still has them.
func (e *lambdaEvent) request(s trigger, base string) (core.Request, error) {
	r := core.Request{Method: e.Method, Path: e.Path, Body: e.Body, Header: e.header()}
	if e.Base64 {
		n, err := base64.StdEncoding.Decode(e.Body, e.Body)
		if err != nil {
			return r, errBody
		}
		r.Body = e.Body[:n]
	}
	decoded := false
	switch s {
	case triggerURL:
		r.Method, r.Path, r.Query, r.Remote = e.Context.HTTP.Method, e.RawPath, e.RawQuery, e.Context.HTTP.SourceIP
		// A Function URL gives the path as it was sent. An HTTP API decodes it
		// and calls that raw: %2F is lost there, everything else can be put back.
		decoded = !strings.Contains(e.Context.DomainName, ".lambda-url.")
	case triggerREST:
		// A REST API gives the path as it was sent and the query decoded; an
		// HTTP API with payload 1.0 decodes both.
		r.Query, r.Remote = e.query(url.QueryEscape), e.Context.Identity.SourceIP
		decoded = e.Version == "1.0"
	case triggerALB, triggerALBMulti:
		// A load balancer passes both on as they were sent, and puts its peer
		// at the end of X-Forwarded-For.
		r.Query = e.query(func(s string) string { return s })
		from := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		r.Remote = strings.TrimSpace(from[len(from)-1])
	case triggerUnknown, triggerQueue, triggerSchedule: // not requests
	}
	r.Path = e.strip(s, r.Path, base)
	if decoded {
		r.Path = escape(r.Path)
	}
	return r, nil
}

// escape returns a decoded path in escaped form. Which slashes were escaped is
// unknown; but no client sends a path with dot segments, so those of a tool's
// name that looks like one were.
func escape(path string) string {
	if name, ok := strings.CutPrefix(path, "/tools/"); ok && strings.Contains("/"+name+"/", "/../") {
		return "/tools/" + url.PathEscape(name)
	}
	return (&url.URL{Path: path}).EscapedPath()
}

// strip removes what the deployment put before a path: the base path of a custom
// domain, and the stage. API Gateway leaves the stage there for HTTP
// APIs on their own domain, and for REST APIs on a custom one whose mapping
// names no stage.
func (e *lambdaEvent) strip(s trigger, path, base string) string {
	path = cutPrefix(path, base)
	stage := e.Context.Stage
	own := e.Context.DomainPrefix == e.Context.APIID
	isHTTP := s == triggerURL || s == triggerREST && e.Version == "1.0"
	if stage != "" && stage != "$default" && (isHTTP && own || s == triggerREST && !isHTTP && !own) {
		path = cutPrefix(path, "/"+stage)
	}
	if path == "" {
		return "/"
	}
	return path
}

// cutPrefix cuts whole segments only: "/v1" is not a prefix of "/v10".
func cutPrefix(path, prefix string) string {
	if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
		return rest
	}
	return path
}

// header returns the header fields, the multi-value ones if there are both.
func (e *lambdaEvent) header() auth.Header {
	from := e.MultiHeader
	if from == nil {
		from = e.Headers
	}
	h := make(auth.Header, len(from)+1)
	for _, f := range from {
		h[f.name] = append(h[f.name], f.values...)
	}
	if len(e.Cookies) > 0 {
		h["cookie"] = append(h["cookie"], strings.Join(e.Cookies, "; "))
	}
	return h
}

// query returns a raw query of the parameters, in the order of the event.
func (e *lambdaEvent) query(escape func(string) string) string {
	from := e.MultiQuery
	if from == nil {
		from = e.Query
	}
	var b strings.Builder
	for _, f := range from {
		for _, v := range f.values {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(escape(f.name))
			b.WriteByte('=')
			b.WriteString(escape(v))
		}
	}
	return b.String()
}
