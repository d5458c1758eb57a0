import tseslint from 'typescript-eslint';
import prettier from 'eslint-config-prettier';

const noEnv = {
  object: 'process',
  property: 'env',
  message: 'Read configuration in platform/config.ts; pass it in from main.ts.',
};

/** Also in a main.ts, which only hands process.env over. */
const noVariableFromEnv = [
  'MemberExpression > MemberExpression.object[object.name="process"][property.name="env"]',
  'VariableDeclarator[id.type="ObjectPattern"] > MemberExpression.init[object.name="process"][property.name="env"]',
  'VariableDeclarator[init.name="process"] > ObjectPattern > Property[key.name="env"]',
].map((selector) => ({ selector, message: noEnv.message }));

const noSpreadLiteral = {
  selector: 'SpreadElement > ObjectExpression',
  message: 'Write the fields: a spread literal only saves lines.',
};

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'var', 'coverage', '**/*.cjs', '**/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { allowDefaultCaseForExhaustiveSwitch: true, considerDefaultExhaustiveForUnions: false },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'no-restricted-properties': ['error', noEnv],
      'no-restricted-syntax': ['error', ...noVariableFromEnv, noSpreadLiteral],
      'no-console': 'error',
      'max-lines-per-function': ['error', { max: 100, skipComments: true, skipBlankLines: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  { files: ['**/main.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    // A describe block is a list of tests. Tests set variables of the environment.
    files: ['test/**'],
    rules: {
      'max-lines-per-function': 'off',
      'no-restricted-properties': 'off',
      'no-restricted-syntax': ['error', noSpreadLiteral],
    },
  },
  prettier,
);
