import js from '@eslint/js';
import globals, { workflowGlobals } from './tools/eslint-globals.mjs';
import tseslint from 'typescript-eslint';

const restricted = (allowed, patterns, message) => ({
    files: ['lib/**/*.ts', 'main.ts'],
    ignores: allowed,
    rules: {
        'no-restricted-imports': ['error', { paths: patterns.map((name) => ({ name, message })) }],
    },
});

export default tseslint.config(
    { ignores: ['**/*.js', 'node_modules', 'data', 'coverage'] },
    js.configs.recommended,
    {
        files: ['**/*.ts'],
        extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
        languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
        rules: {
            '@typescript-eslint/restrict-template-expressions': [
                'error',
                { allowNumber: true, allowBoolean: true },
            ],
            '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
            '@typescript-eslint/consistent-type-imports': 'error',
            '@typescript-eslint/require-await': 'off',
            'no-console': 'error',
        },
    },
    restricted(['lib/http/**', 'lib/routes.ts'], ['restify'], 'restify stays in lib/http.'),
    {
        files: ['lib/**/*.ts'],
        ignores: ['lib/config.ts', 'lib/config/**', 'lib/constants.ts'],
        rules: {
            'no-restricted-properties': [
                'error',
                {
                    object: 'process',
                    property: 'env',
                    message: 'The environment is read in lib/config only.',
                },
            ],
        },
    },
    {
        files: ['test/**/*.ts', 'bench/**/*.ts', 'tools/**/*.ts'],
        rules: { 'no-console': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
    },
    { files: ['**/*.mjs', 'bin/*'], languageOptions: { globals } },
    {
        // They run on Node 6.
        files: ['deps/wfapi/*.cjs'],
        languageOptions: {
            ecmaVersion: 2016,
            sourceType: 'commonjs',
            globals: { ...globals, __dirname: 'readonly' },
        },
        rules: { 'no-console': 'off' },
    },
    {
        // They run in the workflow service, on Node 6. Which globals a task has depends on it: a test looks.
        files: ['lib/dc/workflows/*.cjs'],
        languageOptions: {
            ecmaVersion: 5,
            sourceType: 'script',
            globals: { ...workflowGlobals, module: 'readonly', require: 'readonly' },
        },
        rules: { 'no-redeclare': 'off', 'no-unused-vars': ['error', { caughtErrors: 'none' }] },
    },
);
