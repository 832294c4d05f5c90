package emulate

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/serverurl/serverurl/internal/arguments"
)

type object = map[string]any

// newEvent makes the event of a request, field for field as AWS documents it.
// Where AWS gives a path or a query decoded, so does this.
func newEvent(as Trigger, r *http.Request, body []byte) object {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	remote, _, _ := net.SplitHostPort(r.RemoteAddr)
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	header.Set("X-Forwarded-Proto", "https")
	header.Set("X-Forwarded-Port", "443")
	header.Set("X-Forwarded-For", strings.TrimPrefix(strings.Join(header["X-Forwarded-For"], ",")+","+remote, ","))
	e := object{"isBase64Encoded": false, "body": string(body)}
	if !isText(as, r, body) {
		e["isBase64Encoded"], e["body"] = true, base64.StdEncoding.EncodeToString(body)
	}
	now := time.Now().UTC()
	switch as {
	case RESTAPI:
		restEvent(e, r, header, path, query, remote, now)
	case ALB, ALBMulti:
		albEvent(e, r, header, path, query, as == ALBMulti)
	case FunctionURL, HTTPAPI:
		urlEvent(e, r, header, path, query, remote, now, as == HTTPAPI)
	}
	return e
}

func urlEvent(e object, r *http.Request, header http.Header, path, query, remote string, now time.Time, isAPI bool) {
	const id = "emulated12"
	domain := id + ".lambda-url.us-east-1.on.aws"
	if isAPI {
		domain = id + ".execute-api.us-east-1.amazonaws.com"
		if decoded, err := url.PathUnescape(path); err == nil {
			path, _, _ = strings.Cut(decoded, "?")
		}
	}
	if c := header["Cookie"]; c != nil {
		var all []string
		for _, line := range c {
			all = append(all, strings.Split(line, "; ")...)
		}
		e["cookies"] = all
		header.Del("Cookie")
	}
	single := object{}
	for name, vs := range header {
		single[strings.ToLower(name)] = strings.Join(vs, ",")
	}
	if len(query) > 0 {
		params := object{}
		for name, vs := range parse(query, true) {
			params[name] = strings.Join(vs, ",")
		}
		e["queryStringParameters"] = params
	}
	if e["body"] == "" {
		delete(e, "body")
	}
	e["version"], e["routeKey"], e["rawPath"], e["rawQueryString"], e["headers"] = "2.0", "$default", path, query, single
	e["requestContext"] = object{
		"accountId": "anonymous", "apiId": id, "domainName": domain, "domainPrefix": id, "requestId": rand.Text(),
		"routeKey": "$default", "stage": "$default", "time": now.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": now.UnixMilli(),
		"http": object{"method": r.Method, "path": path, "protocol": r.Proto, "sourceIp": remote, "userAgent": r.UserAgent()},
	}
}

func restEvent(e object, r *http.Request, header http.Header, path, query, remote string, now time.Time) {
	const id, stage = "emulated12", "prod"
	single, params := object{}, object{}
	for name, vs := range header {
		single[name] = vs[len(vs)-1]
	}
	multi := parse(query, true)
	for name, vs := range multi {
		params[name] = vs[len(vs)-1]
	}
	e["resource"], e["path"], e["httpMethod"] = "/{proxy+}", path, r.Method
	e["headers"], e["multiValueHeaders"] = single, header
	e["queryStringParameters"], e["multiValueQueryStringParameters"] = nil, nil
	if len(multi) > 0 {
		e["queryStringParameters"], e["multiValueQueryStringParameters"] = params, multi
	}
	e["pathParameters"], e["stageVariables"] = object{"proxy": strings.TrimPrefix(path, "/")}, nil
	if e["body"] == "" {
		e["body"] = nil
	}
	e["requestContext"] = object{
		"accountId": "123456789012", "apiId": id, "domainName": id + ".execute-api.us-east-1.amazonaws.com", "domainPrefix": id,
		"resourceId": "abc123", "resourcePath": "/{proxy+}", "path": "/" + stage + path, "stage": stage, "httpMethod": r.Method,
		"requestId": rand.Text(), "protocol": r.Proto, "requestTime": now.Format("02/Jan/2006:15:04:05 -0700"), "requestTimeEpoch": now.UnixMilli(),
		"identity": object{"sourceIp": remote, "userAgent": r.UserAgent()},
	}
}

func albEvent(e object, r *http.Request, header http.Header, path, query string, multi bool) {
	params := parse(query, false)
	lower, one, last := object{}, object{}, object{}
	for name, vs := range header {
		lower[strings.ToLower(name)], one[strings.ToLower(name)] = vs, vs[len(vs)-1]
	}
	for name, vs := range params {
		last[name] = vs[len(vs)-1]
	}
	e["httpMethod"], e["path"] = r.Method, path
	e["requestContext"] = object{"elb": object{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/emulated/0"}}
	if multi {
		e["multiValueHeaders"], e["multiValueQueryStringParameters"] = lower, params
	} else {
		e["headers"], e["queryStringParameters"] = one, last
	}
}

// parse splits a query, and decodes it where the front does.
func parse(query string, decode bool) map[string][]string {
	all := map[string][]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if decode {
			name, value = unescape(name), unescape(value)
		}
		all[name] = append(all[name], value)
	}
	return all
}

// unescape decodes a name or a value. What is not an escape stays, and what is not
// UTF-8 becomes U+FFFD: an event is JSON, so it can hold nothing else.
func unescape(s string) string { return arguments.ParseQuery("x=" + s).Get("x") }
