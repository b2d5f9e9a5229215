// OpenAI's Node SDK: the Responses API.
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const Review = z.object({ zeal: z.enum(["low", "high"]), kind: z.literal("review"), age: z.literal(7) });
const weather = zodResponsesFunction({
  name: "get_weather",
  parameters: z.object({ unit: z.string(), exact: z.boolean() }),
});

const client = ({ base_url, key }) => new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0 });

export async function chat({ model, prompt, ...at }) {
  return (await client(at).responses.create({ model, input: prompt })).output_text;
}

export async function* stream({ model, prompt, ...at }) {
  for await (const event of await client(at).responses.create({ model, input: prompt, stream: true })) {
    if (event.type === "response.output_text.delta") yield event.delta;
  }
}

export async function tools({ model, prompt, result, streamed, ...at }) {
  const { responses } = client(at);
  const input = [{ role: "user", content: prompt }];
  const called = [];
  for (;;) {
    const request = { model, input, tools: [weather] };
    const response = streamed
      ? await responses.stream(request).finalResponse()
      : await responses.parse(request);
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return { called, text: response.output_text };
    for (const { call_id, parsed_arguments } of calls) {
      called.push(parsed_arguments);
      input.push({ type: "function_call_output", call_id, output: result });
    }
  }
}

export async function structured({ model, prompt, ...at }) {
  const request = { model, input: prompt, text: { format: zodTextFormat(Review, "review") } };
  return (await client(at).responses.parse(request)).output_parsed;
}

export const whole = ({ request, ...at }) => client(at).responses.create(request);

export async function* events({ request, ...at }) {
  yield* await client(at).responses.create({ ...request, stream: true });
}

export const together = ({ request, ...at }) => client(at).responses.stream(request).finalResponse();
