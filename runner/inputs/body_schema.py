"""What the fields of a request body are in OpenAI's API: their JSON types, and the kinds of models.

Data only. Fields that are not listed are the provider's own, and every field may be null. The types
are those of the API's own description; `tests/inputs/test_body_schema.py` compares them with the
vendor's library.
"""

from __future__ import annotations

import re
from typing import Final

BODY_TYPES: Final = {
    "chat": {
        "array": "functions modalities stop tools",
        "integer": "max_completion_tokens max_tokens n seed top_logprobs",
        "number": "frequency_penalty presence_penalty temperature top_p",
        "object": "audio function_call logit_bias metadata moderation prediction"
        " prompt_cache_options response_format stream_options tool_choice web_search_options",
        "string": "function_call prompt_cache_key prompt_cache_retention reasoning_effort"
        " safety_identifier service_tier stop tool_choice user verbosity",
        "true or false": "logprobs parallel_tool_calls store",
    },
    "completions": {
        "array": "prompt stop",
        "integer": "best_of logprobs max_tokens n seed",
        "number": "frequency_penalty presence_penalty temperature top_p",
        "object": "logit_bias stream_options",
        "string": "prompt stop suffix user",
        "true or false": "echo",
    },
    "embeddings": {
        "integer": "dimensions",
        "string": "encoding_format user",
    },
    "moderations": {
        "array": "input",
        "string": "input",
    },
    "responses": {
        "array": "context_management include input tools",
        "integer": "max_output_tokens max_tool_calls top_logprobs",
        "number": "temperature top_p",
        "object": "access_programs background_options conversation image metadata moderation"
        " prompt prompt_cache_options reasoning stream_options text tool_choice",
        "string": "conversation input instructions previous_response_id prompt_cache_key"
        " prompt_cache_retention safety_identifier service_tier tool_choice truncation user",
        "true or false": "background parallel_tool_calls store",
    },
}
"""The fields of each type, by the kind of the endpoint; a field may have several types."""

NESTED_TYPES: Final = {
    "chat": {
        "messages[]": "object",
        "messages[].content": "array string",
        "messages[].content[]": "object",
        "messages[].content[].text": "string",
        "messages[].content[].type": "string",
        "messages[].name": "string",
        "messages[].role": "string",
        "messages[].tool_call_id": "string",
        "messages[].tool_calls": "array",
        "response_format.json_schema": "object",
        "response_format.json_schema.name": "string",
        "response_format.json_schema.schema": "object",
        "response_format.json_schema.strict": "true or false",
        "response_format.type": "string",
        "tools[]": "object",
        "tools[].function": "object",
        "tools[].function.description": "string",
        "tools[].function.name": "string",
        "tools[].function.parameters": "object",
        "tools[].function.strict": "true or false",
        "tools[].type": "string",
    },
    "responses": {
        "input[]": "object",
        "input[].role": "string",
        "input[].type": "string",
        "reasoning.effort": "string",
        "text.format": "object",
        "text.format.name": "string",
        "text.format.schema": "object",
        "text.format.strict": "true or false",
        "text.format.type": "string",
        "text.verbosity": "string",
        "tools[]": "object",
        "tools[].type": "string",
    },
}
"""The types of fields below the top level, by the kind of the endpoint; `[]` is each element."""

MODEL_KINDS: Final = (
    (re.compile(r"(^|[-_/.])(text-)?embed"), "embeddings"),
    (re.compile(r"(^|[-/])(bge|e5|gte)-|(^|/)(all-minilm|wordllama)"), "embeddings"),
    (re.compile(r"(^|/)(omni|text)-moderation-"), "moderations"),
    (re.compile(r"(^|[/:])(gpt-3\.5-turbo-instruct|davinci-002|babbage-002)"), "completions"),
    (re.compile(r"(^|[/:])(gpt-[3-9]|chatgpt-|o[1-9](-|$)|claude-)"), "chat"),
)
"""Families of models by their names in lower case, with what they are for; the first that fits."""
