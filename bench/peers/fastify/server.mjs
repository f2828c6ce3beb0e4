// A webhook receiver on Fastify and amqplib: verifies, publishes, waits for the confirm, answers 202.
// AMQP_URL, PORT, QUEUE, SIGNING_SECRET (whsec_...) and PROCESSES say where, what and how many.
import cluster from "node:cluster";
import { createHmac, timingSafeEqual } from "node:crypto";
import amqplib from "amqplib";
import Fastify from "fastify";

const { AMQP_URL, PORT, QUEUE, SIGNING_SECRET, PROCESSES = "1" } = process.env;
const TOLERANCE_SECONDS = 300;
const key = Buffer.from(SIGNING_SECRET.slice("whsec_".length), "base64");

// Standard Webhooks: HMAC-SHA256 over id, timestamp and raw body; any of several signatures may match.
function isSigned(headers, body) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !timestamp || !signatures) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(" ").some((entry) => {
    if (!entry.startsWith("v1,")) return false;
    const signature = Buffer.from(entry.slice(3), "base64");
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}

async function serve() {
  const connection = await amqplib.connect(AMQP_URL);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });

  // Resolves with the broker's confirm; any number of messages is in flight at once.
  const publish = (body, options) =>
    new Promise((resolve, reject) => {
      channel.publish("", QUEUE, body, options, (error) => (error ? reject(error) : resolve()));
    });

  const server = Fastify();
  server.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  server.post("/webhook/openai", async (request, reply) => {
    if (!isSigned(request.headers, request.body)) return reply.code(401).send();
    await publish(request.body, {
      persistent: true,
      contentType: "application/json",
      messageId: request.headers["webhook-id"],
    });
    return reply.code(202).send();
  });
  server.get("/health/ready", (_, reply) => reply.send("ready"));
  await server.listen({ host: "127.0.0.1", port: Number(PORT) });
}

if (cluster.isPrimary && Number(PROCESSES) > 1) {
  for (let number = 0; number < Number(PROCESSES); number += 1) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  await serve();
}
