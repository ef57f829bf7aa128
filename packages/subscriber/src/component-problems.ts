import { keyOf } from "./apply.ts";
import type { ComponentVerdict, SiteVerdict, VerdictRules } from "./verdict.ts";

/** What a site's components are, for a person and for the verdict. */
interface ComponentProblems {
  /** A sentence each. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** Whether any of them makes the whole fail. */
  readonly isFailing: boolean;
}

type UnknownAs = VerdictRules["unknownAs"];

/** More than any pipeline has one behind the other. Dependencies that go round in a ring never end. */
const MAX_GENERATIONS = 32;

/**
 * One line for each component that is not up; but one that is unknown because another one is down is only counted in that
 * one's line. One line for a silent site is enough: that is not said here.
 */
export function componentProblems(site: SiteVerdict, unknownAs: UnknownAs): ComponentProblems {
  if (site.state === "silent") return { problems: [], warnings: [], isFailing: true };
  const notUp = site.components.filter(({ state }) => state !== "up");
  const named = new Map(site.components.map((component) => [keyOf(component), component]));
  const dependants = new Map<string, number>();
  const listed: ComponentVerdict[] = [];
  for (const component of notUp) {
    // While two publishers contradict each other nothing follows from anything.
    const root = site.state === "fresh" ? rootOf(component, named) : undefined;
    if (root && isToldBy(root, component, unknownAs)) {
      dependants.set(keyOf(root), (dependants.get(keyOf(root)) ?? 0) + 1);
    } else listed.push(component);
  }
  const lines = (components: readonly ComponentVerdict[]) =>
    components.map((component) => line(site.site, component, dependants.get(keyOf(component)) ?? 0));
  return {
    problems: lines(listed.filter((component) => isFailing(component, unknownAs))),
    warnings: lines(listed.filter((component) => !isFailing(component, unknownAs))),
    isFailing: notUp.some((component) => isFailing(component, unknownAs)),
  };
}

/**
 * Whether a component that is not up makes the whole fail. An unknown one may be down for real; that this is a warning is
 * for those at which the publisher could not look, not for those that are hidden behind another one.
 */
function isFailing({ severity, state, because }: ComponentVerdict, unknownAs: UnknownAs): boolean {
  if (severity === "warn" || state === "up") return false;
  return state === "down" || unknownAs === "fail" || because !== undefined;
}

/** Whether what is behind the root need not be told: the root has a line where this one would have had its own, or worse. */
function isToldBy(root: ComponentVerdict, component: ComponentVerdict, unknownAs: UnknownAs): boolean {
  return root.state !== "up" && (isFailing(root, unknownAs) || component.severity === "warn");
}

/** The component at which the dependencies end; undefined when it depends on nothing, on nothing known, or on itself. */
function rootOf(
  component: ComponentVerdict,
  named: ReadonlyMap<string, ComponentVerdict>,
): ComponentVerdict | undefined {
  let root: ComponentVerdict | undefined = component;
  for (let generation = 0; generation <= MAX_GENERATIONS; generation += 1) {
    const parent = parentOf(root);
    if (parent === undefined) return root === component ? undefined : root;
    root = named.get(parent);
    if (!root) return undefined;
  }
  return undefined;
}

/** What is up or down is so by itself, whatever it names. */
function parentOf({ state, because }: ComponentVerdict): string | undefined {
  return state === "unknown" ? because : undefined;
}

function line(site: string, component: ComponentVerdict, dependants: number): string {
  const { kind, name, state, sinceMs, reason } = component;
  const parent = parentOf(component);
  const why = `${parent === undefined ? "" : ` because of ${parent}`}${reason ? `: ${reason}` : ""}`;
  const behind =
    dependants === 0
      ? ""
      : ` (${dependants} ${dependants === 1 ? "component depends" : "components depend"} on it)`;
  return `${kind} ${name} (site ${site}) is ${state} since ${new Date(sinceMs).toISOString()}${why}${behind}`;
}
