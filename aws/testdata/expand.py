"""Prints what CloudFormation is given for a SAM template (standard input), as JSON. Offline."""
import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    def load(self):
        return {}


template = yaml_parse(sys.stdin.read())
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as `sam package` does
print(json.dumps(transform(template, {}, NoManagedPolicies())))
