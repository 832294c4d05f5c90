import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["**/*.mjs"],
    languageOptions: { globals: globals["shared-node-browser"] },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "require-await": "off", // handlers are async by contract
    },
  },
  // Node runs these; everything else runs in workerd.
  { files: ["**/*.test.mjs", "emulate/**/*.mjs", "testdata/*.mjs"], languageOptions: { globals: globals.node } },
];
