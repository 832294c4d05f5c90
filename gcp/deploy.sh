#!/usr/bin/env bash
# Deploys this checkout to Google Cloud: what it stands on, once, and the three
# functions, each time. Each command is printed before it runs.
#
#   gcp/deploy.sh --project my-project --region us-central1
#   gcp/deploy.sh --project my-project --region us-central1 --print    # run none
#
# It may be run again: what is there already stays as it is, and the functions
# are deployed anew. docs/gcp.md says what is made, and why.
set -euo pipefail
cd "$(dirname "$0")/.."

project= region=us-central1 name=serverurl runtime=go127 max=20 retention= key= assistants= signing= webhooks= print=
usage() {
  echo "usage: gcp/deploy.sh --project PROJECT [--region REGION] [--name NAME] [--runtime RUNTIME] [--max-instances N]" >&2
  echo "         [--retention content=90d,...] [--api-key-secret SECRET [--assistants ID,...]]" >&2
  echo "         [--signing-secret SECRET] [--standard-webhooks-secret SECRET] [--print]" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --print) print=1; shift; continue ;;
    --project | --region | --name | --runtime | --max-instances | --retention | --api-key-secret | --assistants | --signing-secret | --standard-webhooks-secret) [ $# -gt 1 ] || usage ;;
    *) usage ;;
  esac
  case $1 in
    --project) project=$2 ;;
    --region) region=$2 ;;
    --name) name=$2 ;;
    --runtime) runtime=$2 ;;
    --max-instances) max=$2 ;;
    --retention) retention=$2 ;;
    --api-key-secret) key=$2 ;;
    --assistants) assistants=$2 ;;
    --signing-secret) signing=$2 ;;
    --standard-webhooks-secret) webhooks=$2 ;;
  esac
  shift 2
done
[ -n "$project" ] || usage

# show prints a command so that it can be typed. With --print it names what the
# commands before would have said: $subscription.
show() {
  local line
  printf -v line ' %q' "$@"
  printf '+%s\n' "${line//\\\$/$}"
}

# run runs a command; make runs one that makes something that may be there.
run() {
  show "$@"
  [ -n "$print" ] || "$@"
}
make() {
  show "$@"
  [ -z "$print" ] || return 0
  local said
  if ! said=$("$@" 2>&1); then
    case $said in
      *[Aa]lready\ [Ee]xists* | *ALREADY_EXISTS*) echo "  it is there already" ;;
      *) printf '%s\n' "$said" >&2; return 1 ;;
    esac
  fi
}
# ask sets a variable to what a command says.
ask() {
  local variable=$1; shift
  local line
  printf -v line ' %q' "$@"
  line=${line//\\\$/$}
  printf '+ %s=$(%s)\n' "$variable" "${line# }"
  if [ -n "$print" ]; then
    printf -v "$variable" '%s' "\$$variable"
  else
    printf -v "$variable" '%s' "$("$@")"
  fi
}
step() { printf '\n# %s\n' "$*"; }

topic=$name-events dead=$name-events-dead database=$name secret=$name-secret
account() { echo "$name-$1@$project.iam.gserviceaccount.com"; }
gcloud=(gcloud --project="$project" --quiet)

step "The APIs that are used."
run "${gcloud[@]}" services enable cloudfunctions.googleapis.com run.googleapis.com cloudbuild.googleapis.com artifactregistry.googleapis.com \
  eventarc.googleapis.com pubsub.googleapis.com firestore.googleapis.com secretmanager.googleapis.com cloudscheduler.googleapis.com

step "The database of calls. Records that have expired are removed, and no field is indexed: firestore.indexes.json."
make "${gcloud[@]}" firestore databases create --database="$database" --location="$region" --type=firestore-native --delete-protection --enable-pitr
for field in v r e; do
  run "${gcloud[@]}" firestore indexes fields update "$field" --collection-group=records --database="$database" --disable-indexes
done
run "${gcloud[@]}" firestore fields ttls update e --collection-group=records --database="$database" --enable-ttl

step "The topic of accepted events, and the one of those that cannot be delivered."
make "${gcloud[@]}" pubsub topics create "$topic"
make "${gcloud[@]}" pubsub topics create "$dead"
make "${gcloud[@]}" pubsub subscriptions create "$dead" --topic="$dead" --message-retention-duration=31d --expiration-period=never --ack-deadline=60

step "The secret with which the sender authenticates. It is created here and printed nowhere."
if [ -n "$print" ] || ! "${gcloud[@]}" secrets describe "$secret" >/dev/null 2>&1; then
  echo "+ openssl rand -hex 32 | tr -d '\\n' | ${gcloud[*]} secrets create $secret --replication-policy=automatic --data-file=-"
  [ -n "$print" ] || openssl rand -hex 32 | tr -d '\n' | "${gcloud[@]}" secrets create "$secret" --replication-policy=automatic --data-file=-
fi

step "Who the functions are: each may do what it does, and no more. The fourth calls the other two."
for who in receive deliver sweep call; do
  make "${gcloud[@]}" iam service-accounts create "$name-$who" --display-name="$name: $who"
done
for who in receive deliver sweep; do
  run "${gcloud[@]}" projects add-iam-policy-binding "$project" --member="serviceAccount:$(account $who)" --role=roles/datastore.user \
    --condition="^;^title=$name-database;expression=resource.type == \"firestore.googleapis.com/Database\" && resource.name == \"projects/$project/databases/$database\""
  for one in "$secret" $signing $webhooks; do
    run "${gcloud[@]}" secrets add-iam-policy-binding "$one" --member="serviceAccount:$(account $who)" --role=roles/secretmanager.secretAccessor
  done
done
run "${gcloud[@]}" pubsub topics add-iam-policy-binding "$topic" --member="serviceAccount:$(account receive)" --role=roles/pubsub.publisher
run "${gcloud[@]}" projects add-iam-policy-binding "$project" --member="serviceAccount:$(account call)" --role=roles/eventarc.eventReceiver --condition=None

if [ -n "$key" ]; then
  step "The key of Interactly's API, with which the sweep recovers missed events."
  run "${gcloud[@]}" secrets add-iam-policy-binding "$key" --member="serviceAccount:$(account sweep)" --role=roles/secretmanager.secretAccessor
fi

# deploy deploys one function of this checkout, with its timeout in seconds.
deploy() {
  local function=$1 entry=$2 timeout=$3 more= secrets=; shift 3
  if [ "$function" = sweep ]; then
    more=";SERVERURL_RETENTION=$retention;INTERACTLY_ASSISTANTS=$assistants" secrets=${key:+,INTERACTLY_API_KEY=$key:latest}
  fi
  run "${gcloud[@]}" functions deploy "$name-$function" --gen2 --runtime="$runtime" --region="$region" --source=. --entry-point="$entry" \
    --service-account="$(account "$function")" --memory=512Mi --cpu=1 --concurrency=80 --timeout="${timeout}s" \
    --set-env-vars="^;^GOOGLE_CLOUD_PROJECT=$project;SERVERURL_TOPIC=$topic;SERVERURL_DATABASE=$database;CLOUD_RUN_TIMEOUT_SECONDS=$timeout$more" \
    --set-secrets="SERVERURL_SECRET=$secret:latest${signing:+,SERVERURL_SIGNING_SECRET=$signing:latest}${webhooks:+,SERVERURL_STANDARD_WEBHOOKS_SECRET=$webhooks:latest}$secrets" "$@"
}
step "The three functions. The first is open to everybody, because Interactly cannot sign for Google: the secret guards it."
deploy receive Receive 15 --trigger-http --allow-unauthenticated --max-instances="$max"
deploy deliver Deliver 60 --trigger-topic="$topic" --retry --trigger-service-account="$(account call)" --no-allow-unauthenticated --ingress-settings=internal-only --max-instances="$max"
deploy sweep Sweep 60 --trigger-http --no-allow-unauthenticated --ingress-settings=internal-only --max-instances=1
for function in deliver sweep; do
  run "${gcloud[@]}" run services add-iam-policy-binding "$name-$function" --region="$region" --member="serviceAccount:$(account call)" --role=roles/run.invoker
done

step "What cannot be delivered in 20 tries, with pauses of up to 10 minutes, goes to the dead-letter topic. Pub/Sub itself has to be allowed to."
ask trigger "${gcloud[@]}" functions describe "$name-deliver" --gen2 --region="$region" --format='value(eventTrigger.trigger)'
ask subscription "${gcloud[@]}" eventarc triggers describe "$trigger" --location="$region" --format='value(transport.pubsub.subscription)'
ask number "${gcloud[@]}" projects describe "$project" --format='value(projectNumber)'
run "${gcloud[@]}" pubsub subscriptions update "$subscription" --dead-letter-topic="$dead" --max-delivery-attempts=20 \
  --min-retry-delay=10s --max-retry-delay=600s --ack-deadline=90
agent=serviceAccount:service-$number@gcp-sa-pubsub.iam.gserviceaccount.com
run "${gcloud[@]}" pubsub topics add-iam-policy-binding "$dead" --member="$agent" --role=roles/pubsub.publisher
run "${gcloud[@]}" pubsub subscriptions add-iam-policy-binding "$subscription" --member="$agent" --role=roles/pubsub.subscriber

step "Once a minute: calls whose report is overdue."
ask sweep "${gcloud[@]}" functions describe "$name-sweep" --gen2 --region="$region" --format='value(serviceConfig.uri)'
make "${gcloud[@]}" scheduler jobs create http "$name-sweep" --location="$region" --schedule='* * * * *' --uri="$sweep" --http-method=POST \
  --oidc-service-account-email="$(account call)" --attempt-deadline=60s

step "The server URL, for the assistant. Tools are at tools/NAME below it."
run "${gcloud[@]}" functions describe "$name-receive" --gen2 --region="$region" --format='value(serviceConfig.uri)'
printf '\n# The secret, for the assistant too:\n#   %s secrets versions access latest --secret=%s\n' "${gcloud[*]}" "$secret"
