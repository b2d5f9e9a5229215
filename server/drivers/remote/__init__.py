"""Providers that speak `interference.v1` themselves: plug-ins in any language, and servers like this one.

What a plug-in must have is one of the methods: `Chat.CreateCompletion`, `Chat.StreamCompletion`, the two of
`Completions`, `Embeddings.CreateEmbeddings`, `Images.GenerateImages`. One that it does not have says
UNIMPLEMENTED, as every gRPC server does by itself: then the provider counts as one without such a model.
`Models.ListModels` may be missing, too; without it the row lists the models.

Of an answer it must give the choices, in a chat each with its `message`; of a stream each `delta`, and in
the last chunk of each choice its `finish_reason`. Ids, `object`, `created`, `model`, places and roles are
filled in. It gets the request as it came, `model` by its own name, without `providers`, `stream`,
`timeout`, `time_limits` and `hedge`: the call's deadline says how long there is, and a caller who leaves
cancels it. The key of the row is in `authorization`, as a bearer token. `x-request-id`, `traceparent`,
`tracestate` and `cdn-loop` come along; who asks a server like this one in turn hands `cdn-loop` on: so
circles are found.

It fails with a status: INVALID_ARGUMENT is the caller's fault and goes to the caller, after any other the
next provider is asked.
"""

from server.drivers.remote.channels import Options
from server.drivers.remote.driver import RemoteDriver
from server.kinds import Kind

KIND = Kind(
    make=lambda transport: RemoteDriver(transport.limit),
    options=Options,
    has_address=True,
    scheme="grpc",
    is_probed=True,
)
