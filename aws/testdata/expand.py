"""Prints what CloudFormation is given for SAM templates (standard input, NUL between them), as a JSON array. Offline."""
import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    def load(self):
        return {}


expanded = []
for text in sys.stdin.read().split("\0"):
    template = yaml_parse(text)
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as `sam package` does
    expanded.append(transform(template, {}, NoManagedPolicies()))
print(json.dumps(expanded))
