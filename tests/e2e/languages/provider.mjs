// A provider in Node, whole: gradients for prompts, by no upstream at all. It keeps services/PROVIDER.md, which
// `imagegate conformance` checks. Start it with: node provider.mjs PROTOSET [PORT]
import { createHash, randomInt, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { HealthImplementation } from "grpc-health-check";
import sharp from "sharp";

const [protoset, port = "0"] = process.argv.slice(2);
const definition = loader.loadFileDescriptorSetFromBuffer(readFileSync(protoset), { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true });
const encode = (name, value) => definition[name].serialize(value);
const any = (name, value) => ({ type_url: `type.googleapis.com/${name}`, value: encode(name, value) });

const RANGES = { width: [64, 2048, 8], height: [64, 2048, 8] };
const model = {
  provider: "gradient", key: "plain", display_name: "Gradient", upstream_model: "gradient-1", enabled: true, tier: "free", credits: 0, priced_by: "PRICED_BY_PICTURE", typical_seconds_low: 0.1, typical_seconds_high: 1,
  tasks: ["TASK_TEXT_TO_IMAGE"], width: 512, height: 512,
  parameters: [...Object.entries(RANGES).map(([name, [minimum, maximum, multiple_of]]) => ({ name, minimum, maximum, multiple_of, default: "512" })), { name: "seed" }, { name: "count", minimum: 1, maximum: 8 }],
};
const NAMES = new Set(["", "plain", "gradient/plain", "gradient-1"]);
const FIELDS = ["negative_prompt", "steps", "guidance_scale", "sampler"]; // what it does not take

class Refusal extends Error {
  constructor(reason, code, message, violations = []) { super(message); Object.assign(this, { reason, code, violations }); }
}
function answer(call, callback, work) {
  const id = call.request.request_id || call.metadata.get("imagegate-request-id")[0] || randomUUID();
  const trailers = new grpc.Metadata();
  trailers.set("imagegate-request-id", id);
  Promise.resolve().then(() => work(id)).then((value) => callback(null, value, trailers), (error) => {
    const { reason = "INTERNAL", code = grpc.status.INTERNAL, violations = [] } = error;
    const details = [any("google.rpc.ErrorInfo", { reason, domain: "imagegate" })];
    if (violations.length) details.push(any("google.rpc.BadRequest", { field_violations: violations }));
    const message = error instanceof Refusal ? error.message : "a bug of this provider; its log has more";
    if (!(error instanceof Refusal)) console.error(error);
    trailers.set("imagegate-reason", reason);
    trailers.set("grpc-status-details-bin", encode("google.rpc.Status", { code, message, details }));
    callback({ code, details: message, metadata: trailers });
  });
}
function find(name) {
  if (!NAMES.has(name)) throw new Refusal("MODEL_NOT_FOUND", grpc.status.NOT_FOUND, `no model is called ${name.slice(0, 80)}; there is plain`);
  return model;
}
function check(request) {
  const outside = (name, low, high) => request[`_${name}`] && !(request[name] >= low && request[name] <= high) && { field: name, description: `must be ${low} to ${high}` };
  const known = ["prompt", "width", "height", "seed", "count", "task", ...FIELDS];
  const bad = [
    !request.prompt.trim() && { field: "prompt", description: "must not be empty" },
    outside("width", 64, 4096), outside("height", 64, 4096), outside("steps", 1, 150), outside("guidance_scale", 0, 50), outside("count", 1, 8), outside("seed", -1, Number.MAX_SAFE_INTEGER),
    request.must_keep.some((name) => !known.includes(name)) && { field: "must_keep", description: "names no field of a request" },
  ].filter(Boolean);
  if (bad.length) throw new Refusal("INVALID_REQUEST", grpc.status.INVALID_ARGUMENT, `not valid: ${bad.map((each) => `${each.field} ${each.description}`).join("; ")}`, bad);
}
function fit(request) {
  const adjustments = FIELDS.filter((name) => request[`_${name}`] || (name === "sampler" && request.sampler)).map((name) => ({ parameter: name, requested: String(request[name]), applied: "", action: "ACTION_DROPPED", why: "a gradient has none" }));
  const size = {};
  for (const [name, [low, high, step]] of Object.entries(RANGES)) {
    const asked = request[`_${name}`] ? request[name] : 512;
    size[name] = Math.round(Math.min(Math.max(asked, low), high) / step) * step;
    if (size[name] !== asked) adjustments.push({ parameter: name, requested: String(asked), applied: String(size[name]), action: asked > high ? "ACTION_CLAMPED" : "ACTION_ROUNDED", why: `sides are ${low} to ${high} px, multiples of ${step}` });
  }
  const forbidden = adjustments.filter((each) => request.on_unsupported === "ON_UNSUPPORTED_REFUSE" || request.must_keep.includes(each.parameter));
  if (forbidden.length) throw new Refusal("UNSUPPORTED", grpc.status.INVALID_ARGUMENT, `plain cannot take ${forbidden.map((each) => each.parameter).join(", ")} as asked`);
  return { ...size, adjustments };
}
async function draw(seed, { width, height }, output) {
  const [r, g, b] = createHash("sha256").update(String(seed)).digest();
  const pixels = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) pixels.set([r, (g + Math.floor(i / width / 4)) % 256, (b + ((i % width) >> 2)) % 256], i * 3);
  const format = (output?.format ?? "").replace("FORMAT_", "").toLowerCase();
  const kind = ["jpeg", "webp"].includes(format) ? format : "png";
  const data = await sharp(pixels, { raw: { width, height, channels: 3 } }).toFormat(kind, kind === "png" ? {} : { quality: 50 }).toBuffer();
  return { data: output?.delivery === "DELIVERY_NONE" ? Buffer.alloc(0) : data, mime_type: `image/${kind}`, width, height, seed, sha256: createHash("sha256").update(data).digest("hex"), size_bytes: data.length };
}
async function generate(request, drawn, id) {
  check(request);
  find(request.model);
  const fitted = fit(request);
  const first = request._seed && request.seed >= 0 ? request.seed : Number(drawn ?? randomInt(2 ** 32));
  const images = await Promise.all(Array.from({ length: request.count || 1 }, (_, i) => draw(first + i, fitted, request.output)));
  return { images, provider: "gradient", model: "plain", upstream_model: "gradient-1", request_id: id, adjustments: fitted.adjustments, cost: 0 };
}
const catalogue = { models: [model], providers: [{ name: "gradient", enabled: true, catalogue_revision: "1" }] };
const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20, "grpc.max_send_message_length": 64 << 20 });
server.addService(definition["imagegate.v1.GenerationService"], { Generate: (call, done) => answer(call, done, (id) => generate(call.request, call.metadata.get("imagegate-drawn-seed")[0], id)) });
server.addService(definition["imagegate.v1.CatalogService"], { ListModels: (call, done) => answer(call, done, () => catalogue), GetModel: (call, done) => answer(call, done, () => find(call.request.name)) });
new HealthImplementation({ "": "SERVING" }).addToServer(server);
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => { if (error) throw error; console.log(JSON.stringify({ grpc: bound })); });
process.on("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
