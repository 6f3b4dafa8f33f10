/** The layers of the house, from the outside in: a file imports from its own layer and from those below it. */
const layers = [
    ['^main\\.ts$', '^bin/'],
    ['^lib/app\\.ts$', '^lib/admin/'],
    ['^lib/http/'],
    ['^lib/reference/'],
    ['^lib/routes(\\.ts$|/)'],
    ['^lib/api/'],
    ['^lib/images/'],
    ['^lib/metrics/'],
    ['^lib/(db|storage|auth|dc|imports|jobs|workers)/', '^lib/leased-task\\.ts$'],
    [
        '^lib/config',
        '^lib/signing/',
        '^lib/(abort|errors|foreign-error|header-value|manifest|constants|log|recent-log|fluentd|clock|fault|version|nesting)\\.ts$',
    ],
];

const outwards = layers.flatMap((inner, depth) =>
    depth === 0
        ? []
        : [
              {
                  name: `layer-${depth}-imports-outwards`,
                  comment: 'This arrow points outwards: see the layers in .dependency-cruiser.cjs.',
                  severity: 'error',
                  from: { path: inner },
                  to: { path: layers.slice(0, depth).flat() },
              },
          ],
);

module.exports = {
    forbidden: [
        ...outwards,
        {
            name: 'every-file-has-a-layer',
            comment: 'Give the file a place in the layers of .dependency-cruiser.cjs.',
            severity: 'error',
            from: { path: '^lib/', pathNot: layers.flat() },
            to: {},
        },
        {
            name: 'drivers-by-their-interface',
            comment:
                'The domain and all above it reach drivers through their driver.ts; lib/app.ts puts them together.',
            severity: 'error',
            from: { path: '^lib/(images|api|http)/|^lib/routes(\\.ts$|/)' },
            to: {
                path: '^lib/(db|storage|auth|dc|imports|jobs|workers)/',
                pathNot: '/(driver|select)\\.ts$',
            },
        },
        {
            name: 'drivers-know-nothing-of-each-other',
            severity: 'error',
            from: { path: '^lib/(db|storage|auth|dc|imports|jobs|workers)/' },
            to: {
                path: '^lib/(db|storage|auth|dc|imports|jobs|workers)/',
                pathNot: ['^lib/$1/', '/(driver|key)\\.ts$'],
            },
        },
        {
            name: 'no-circle',
            severity: 'error',
            from: {},
            to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
        },
    ],
    options: {
        tsPreCompilationDeps: true,
        tsConfig: { fileName: 'tsconfig.json' },
        doNotFollow: { path: 'node_modules' },
        enhancedResolveOptions: { extensions: ['.ts', '.d.ts', '.js', '.cjs', '.json'] },
        exclude: { path: '(^|/)(lib|bin)/.*\\.js$|^main\\.js$' },
    },
};
