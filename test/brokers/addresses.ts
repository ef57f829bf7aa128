/** `user` is an administrator. */
export interface RabbitmqAddress {
  readonly host: string;
  readonly amqpPort: number;
  readonly managementPort: number;
  readonly user: string;
  readonly password: string;
}

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly databases: number;
}

/** How many logical databases a Redis of our own has: one for each test that runs at the same time, and to spare. */
export const REDIS_DATABASES = 256;

/** Bound to loopback, where RabbitMQ lets `guest` log in. */
export const GUEST = { user: "guest", password: "guest" } as const;

export function managementUrl({ host, managementPort }: RabbitmqAddress, path: string): string {
  return `http://${host}:${managementPort}/api/${path}`;
}

export function managementHeaders({ user, password }: RabbitmqAddress): Record<string, string> {
  const credentials = Buffer.from(`${user}:${password}`).toString("base64");
  return { authorization: `Basic ${credentials}`, "content-type": "application/json" };
}

/** Of a RabbitMQ of our own, as its file has it: each of the last two brings the plugin that it shows. */
export const ENABLED_PLUGINS =
  "[rabbitmq_management,rabbitmq_shovel_management,rabbitmq_federation_management].\n";
