/** The check of an OpenAPI document by redocly's strictest rules. */

/** Where the document has reasons to break a rule. */
const ALLOWED: readonly { rule: string; place: RegExp; because: string }[] = [
    {
        rule: 'operation-2xx-response',
        place: /^#\/paths\/~1(docs|datasets|datasets~1\{dataset\})?\/get\/responses$/,
        because: 'they lead elsewhere and never answer anything else',
    },
    {
        rule: 'no-path-trailing-slash',
        place: /^#\/paths\/~1docs~1$/,
        because: 'clients know it by this path',
    },
];

/** What is wrong with the document, warnings included, but for what is allowed. */
export async function lintOpenApi(source: string): Promise<string[]> {
    const { createConfig, lintFromString } = await import('@redocly/openapi-core');
    const config = await createConfig({ extends: ['recommended-strict'] });
    const problems = await lintFromString({ source, absoluteRef: '/openapi.json', config });
    return problems
        .map(({ severity, ruleId, message, location: [location] }) => ({
            rule: ruleId,
            place: location?.pointer ?? '',
            text: `${severity} ${ruleId} at ${location?.pointer ?? '?'}: ${message}`,
        }))
        .filter(({ rule, place }) => !ALLOWED.some((one) => one.rule === rule && one.place.test(place)))
        .map(({ text }) => text);
}
