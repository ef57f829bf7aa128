import type { Proxy, Weather } from "../../test/proxy.ts";
import type { ServiceProcess } from "../service-process.ts";
import { type Fault, type Making, someOf } from "./fault.ts";

const BROKER = ["broker", "publishing"];
/** A half-open connection is to be noticed within so long. */
const HALF_OPEN_NOTICED_S = 30;
const RESETS = 20;

export const connectionFaults: readonly Fault[] = [
  {
    name: "connections to the broker reset",
    subjects: BROKER,
    async make({ world, random }) {
      for (const { proxies } of someOf(random, world.services)) proxies.broker?.reset();
    },
  },
  weatherFault("broker out of reach", "broker", BROKER, "refuse", [2, 8]),
  {
    name: "broker out of reach, and then reset again and again",
    subjects: BROKER,
    mostOutages: 1 + RESETS,
    async make({ world, random, wait }) {
      const services = someOf(random, world.services);
      for (const { proxies } of services) await proxies.broker?.set("refuse");
      await wait(5, 8);
      for (const { proxies } of services) await proxies.broker?.set("pass");
      // Much has waited, and each time hardly any of it gets through.
      for (let times = 0; times < RESETS; times += 1) {
        await wait(0, 0.4);
        for (const { proxies } of services) proxies.broker?.reset();
      }
    },
  },
  weatherFault("broker slow", "broker", BROKER, { slowMs: 150 }, [4, 8]),
  weatherFault("broker's network dropped for a moment", "broker", BROKER, "hold", [2, 8]),
  {
    name: "broker's network dropped for long",
    subjects: BROKER,
    async make({ world, random, wait, wrong }) {
      const services = someOf(random, world.services);
      for (const { proxies } of services) await proxies.broker?.set("hold");
      await wait(HALF_OPEN_NOTICED_S + 1, HALF_OPEN_NOTICED_S + 2);
      for (const service of services)
        if (await world.isReady(service))
          wrong(`${service.name} has not noticed a half-open connection within ${HALF_OPEN_NOTICED_S} s`);
      for (const { proxies } of services) await proxies.broker?.set("pass");
    },
  },
  {
    name: "connections to Redis reset",
    subjects: ["redis"],
    async make({ world, random }) {
      for (const { proxies } of someOf(random, world.subscribers)) proxies.redis?.reset();
    },
  },
  {
    name: "connections to Redis reset again and again",
    subjects: ["redis"],
    mostOutages: RESETS,
    async make({ world, random, wait }) {
      const subscribers = someOf(random, world.subscribers);
      for (let times = 0; times < RESETS; times += 1) {
        for (const { proxies } of subscribers) proxies.redis?.reset();
        await wait(0, 0.4);
      }
    },
  },
  redisWeather("Redis out of reach", "refuse"),
  redisWeather("Redis's network dropped", "hold"),
  weatherFault("Redis slow", "redis", ["redis"], { slowMs: 20 }, [4, 8]),
  weatherFault("management API out of reach", "management", ["management API"], "refuse", [3, 8]),
  weatherFault("management API hanging", "management", ["management API"], "hold", [3, 8]),
];

function weatherFault(
  name: string,
  way: keyof ServiceProcess["proxies"],
  subjects: readonly string[],
  weather: Weather,
  [leastS, mostS]: readonly [number, number],
): Fault {
  return {
    name,
    subjects,
    async make({ world, random, wait }: Making) {
      const proxies = someOf(
        random,
        world.services.filter((service) => service.proxies[way] !== undefined),
      )
        .map((service) => service.proxies[way])
        .filter((proxy): proxy is Proxy => proxy !== undefined);
      for (const proxy of proxies) await proxy.set(weather);
      await wait(leastS, mostS);
      for (const proxy of proxies) await proxy.set("pass");
    },
  };
}

function redisWeather(name: string, weather: Weather): Fault {
  return {
    name,
    subjects: ["redis"],
    async make({ world, random, wait, whileUnknowable }) {
      const subscribers = someOf(random, world.subscribers);
      for (const { proxies } of subscribers) await proxies.redis?.set(weather);
      await whileUnknowable(subscribers, () => wait(3, 8));
      for (const { proxies } of subscribers) await proxies.redis?.set("pass");
    },
  };
}
