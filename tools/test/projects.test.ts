import { expect, test, vi } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

test.each([
  { source: "containers", projects: ["unit", "integration", "containers"] },
  { source: "local", projects: ["unit", "integration"] },
])(
  "with TEST_BROKERS=$source the projects are $projects, engine or no engine",
  async ({ source, projects }) => {
    vi.stubEnv("TEST_BROKERS", source);
    vi.resetModules();
    const { default: config } = await import("../../vitest.workspace.ts");
    vi.unstubAllEnvs();
    expect(config.test?.projects).toMatchObject(projects.map((name) => ({ test: { name } })));
  },
);

test("npm run test:containers takes brokers in containers, and fails where there is no project of them", () => {
  expect(packageJson.scripts["test:containers"]).toMatch(
    /TEST_BROKERS=containers vitest run --project integration --project containers$/,
  );
});
