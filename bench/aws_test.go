package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
)

type nowhere struct{}

func (nowhere) Put(context.Context, ...core.Envelope) error { return nil }

// processor answers 404 to what is sent here, so that what is measured is the
// way to it and back and not itself.
func processor(b *testing.B) *core.Processor {
	p := core.New()
	err := p.Bind(core.Platform{Name: "aws", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets("5a0b6b1e94c7f2d83e17aa49c05d62fb")}})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func quote(s string) string { q, _ := json.Marshal(s); return string(q) }

const header = `{"host":"abc.lambda-url.us-east-1.on.aws","content-type":"application/json","user-agent":"axios/1.7.2","accept":"*/*",` +
	`"x-forwarded-for":"203.0.113.7","x-forwarded-proto":"https","x-forwarded-port":"443","x-amzn-trace-id":"Root=1-5e9f0c65-1de4d666d4dd26aced652b6c",` +
	`"x-interactly-secret":"5a0b6b1e94c7f2d83e17aa49c05d62fb"}`

func event(shape, body string) []byte {
	multi := strings.NewReplacer(`":"`, `":["`, `","`, `"],"`, `"}`, `"]}`).Replace(header)
	switch shape {
	case "FunctionURL":
		return fmt.Appendf(nil, `{"version":"2.0","routeKey":"$default","rawPath":"/x/find_open_slots","rawQueryString":"call=CA1","headers":%s,"queryStringParameters":{"call":"CA1"},`+
			`"requestContext":{"accountId":"anonymous","apiId":"abc","domainName":"abc.lambda-url.us-east-1.on.aws","domainPrefix":"abc","http":{"method":"POST","path":"/x/find_open_slots",`+
			`"protocol":"HTTP/1.1","sourceIp":"203.0.113.7","userAgent":"axios/1.7.2"},"requestId":"id","routeKey":"$default","stage":"$default","time":"12/Mar/2026:19:03:58 +0000","timeEpoch":1},"body":%s,"isBase64Encoded":false}`, header, quote(body))
	case "REST":
		return fmt.Appendf(nil, `{"resource":"/{proxy+}","path":"/x/find_open_slots","httpMethod":"POST","headers":%s,"multiValueHeaders":%s,"queryStringParameters":{"call":"CA1"},`+
			`"multiValueQueryStringParameters":{"call":["CA1"]},"pathParameters":{"proxy":"x/find_open_slots"},"requestContext":{"stage":"prod","apiId":"abc","domainPrefix":"abc","domainName":"abc.execute-api.us-east-1.amazonaws.com",`+
			`"identity":{"sourceIp":"203.0.113.7"}},"body":%s,"isBase64Encoded":false}`, header, multi, quote(body))
	}
	return fmt.Appendf(nil, `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/1"}},"httpMethod":"POST","path":"/x/find_open_slots",`+
		`"queryStringParameters":{"call":"CA1"},"headers":%s,"body":%s,"isBase64Encoded":false}`, header, quote(body))
}

// BenchmarkTranslation is an invocation from its payload to its reply, through
// the adapter, and through aws-lambda-go-api-proxy with net/http between.
func BenchmarkTranslation(b *testing.B) {
	p := processor(b)
	web := corehttp.Handler(p)
	peers := map[string]lambda.Handler{
		"FunctionURL": lambda.NewHandler(httpadapter.NewV2(web).ProxyWithContext),
		"REST":        lambda.NewHandler(httpadapter.New(web).ProxyWithContext),
		"ALB":         lambda.NewHandler(httpadapter.NewALB(web).ProxyWithContext),
	}
	ours := aws.NewHandler(p, nil, &aws.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, size := range []int{300, 300_000} {
		body := `{"text":"` + strings.Repeat(`Zo\u00eb said \"yes\". `, size/21) + `"}`
		for _, shape := range []string{"FunctionURL", "REST", "ALB"} {
			payload := event(shape, body)
			for _, h := range []struct {
				name string
				lambda.Handler
			}{{"serverurl", ours}, {"api-proxy", peers[shape]}} {
				b.Run(fmt.Sprintf("%s/%dB/%s", shape, len(body), h.name), func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(len(payload)))
					for b.Loop() {
						out, err := h.Invoke(context.Background(), payload)
						if err != nil || !strings.Contains(string(out), `"statusCode":404`) {
							b.Fatalf("%s, %v", out, err)
						}
					}
				})
			}
		}
	}
}
