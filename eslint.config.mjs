import js from '@eslint/js';
import importX from 'eslint-plugin-import-x';
import globals from './tools/eslint-globals.mjs';
import tseslint from 'typescript-eslint';

// The layers of the house, from the outside in. A file may import from its own layer and from those below it.
const layers = [
    ['./main.ts', './bin'],
    ['./lib/app.ts'],
    ['./lib/http'],
    ['./lib/routes.ts'],
    ['./lib/api'],
    ['./lib/images'],
    ['./lib/db', './lib/storage', './lib/auth', './lib/dc', './lib/imports'],
    [
        './lib/errors.ts',
        './lib/config',
        './lib/config.ts',
        './lib/constants.ts',
        './lib/log.ts',
        './lib/clock.ts',
        './lib/fault.ts',
        './lib/version.ts',
        './lib/manifest.ts',
    ],
];

// The domain knows a driver only by its interface; the registries (index.ts) are put together in lib/app.ts.
const drivers = ['db', 'storage', 'auth'];

const zones = [
    ...layers.flatMap((inner, depth) =>
        layers.slice(0, depth).map((outer) => ({
            target: inner,
            from: outer,
            message: 'This arrow points outwards: see the layers in eslint.config.mjs.',
        })),
    ),
    {
        target: ['./lib/images', './lib/api', './lib/routes.ts', './lib/http'],
        from: drivers.map((driver) => `./lib/${driver}`),
        except: true,
        message: 'Reach drivers through their driver.ts (and lib/storage/select.ts, which is a pure rule).',
    },
].flatMap((zone) => {
    // import-x wants `except` relative to `from`, so every zone names one folder.
    const from = Array.isArray(zone.from) ? zone.from : [zone.from];
    return from.map((folder) => ({
        ...zone,
        from: folder,
        ...(zone.except ? { except: ['./driver.ts', './select.ts'] } : {}),
    }));
});

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
        plugins: { 'import-x': importX },
        languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
        settings: {
            'import-x/resolver-next': [importX.createNodeResolver({ extensions: ['.ts', '.js'] })],
            'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
        },
        rules: {
            'import-x/no-restricted-paths': ['error', { zones }],
            'import-x/no-cycle': 'error',
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
);
