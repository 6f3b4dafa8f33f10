/** docs/reference/endpoints.md, from the route table. */
import type { Route } from '../api/route';
import type { ErrorCode } from '../errors';
import { routes } from '../routes';
import {
    actionOf,
    AUTH_TEXT,
    byStatus,
    errorsOf,
    mayBeUnchanged,
    ON_EVERY_ROUTE,
    successStatus,
    takesRanges,
} from './operations';

const BODIES = {
    json: 'JSON (`Content-Type: application/json`; `Content-Encoding: gzip` is taken).',
    bytes: 'The bytes themselves.',
} as const;

export function endpointsPage(): string {
    return [
        '# Endpoints',
        '',
        'Made from `lib/routes.ts` by `npm run gen`; do not edit. The same for programs: [openapi.json](openapi.json).',
        '',
        '`UUID` stands for the uuid of an image. What is said of `GET` goes for `HEAD` as well. A path that exists but',
        'not for the method is answered with 405 and an `Allow` header.',
        '',
        `Any request may end with ${errorList(ON_EVERY_ROUTE)}.`,
        'What each code means: [errors.md](errors.md).',
        '',
        '| endpoint | request | |',
        '|---|---|---|',
        ...routes.map(
            (route) =>
                `| [${route.name}](#${route.name.toLowerCase()}) | \`${requestLine(route)}\` | ${route.summary} |`,
        ),
        ...routes.flatMap(section),
        '',
    ].join('\n');
}

function requestLine(route: Route): string {
    const action = actionOf(route);
    const path = route.path.replace(/:(\w+)/, (_, name: string) => name.toUpperCase());
    const other = action === undefined && route.parameters.some(({ name }) => name === 'action');
    return `${route.method} ${path}${action ? `?action=${action}` : other && isGeneral(route) ? '?action=…' : ''}`;
}

/** Whether the row takes what other rows of its method and path leave. */
function isGeneral({ name, method, path }: Route): boolean {
    return routes.some((other) => other.name !== name && other.method === method && other.path === path);
}

function section(route: Route): string[] {
    const { name, summary, auth, modes, body, parameters } = route;
    const errors = errorsOf(route);
    const shown = parameters.filter(
        (parameter) => parameter.name !== 'action' || actionOf(route) === undefined,
    );
    return [
        '',
        `## ${name}`,
        '',
        `\`${requestLine(route)}\``,
        '',
        summary,
        '',
        `- Authentication: ${AUTH_TEXT[auth]}`,
        ...(modes ? [`- Only in mode ${modes.join(', ')}.`] : []),
        ...(body ? [`- Request body: ${BODIES[body]}`] : []),
        `- Success: ${success(route)}`,
        ...(shown.length > 0
            ? [
                  '',
                  '| parameter | |',
                  '|---|---|',
                  ...shown.map((one) => `| \`${one.name}\` | ${one.description} |`),
              ]
            : []),
        ...(errors.length > 0 ? ['', `Errors: ${errorList(errors)}.`] : []),
    ];
}

function errorList(codes: readonly ErrorCode[]): string {
    return byStatus(codes)
        .map(([status, same]) => `${status} ${same.map((code) => `\`${code}\``).join(', ')}`)
        .join('; ');
}

function success(route: Route): string {
    const statuses = [
        `${successStatus(route)}${{ json: ' with JSON', bytes: ' with the bytes', nothing: ' without a body' }[route.answers]}`,
        ...(takesRanges(route) ? ['206 with the part that `Range` asks for'] : []),
        ...(mayBeUnchanged(route) ? ['304 if the client has it already (`If-None-Match` and the like)'] : []),
    ];
    return `${statuses.join('; ')}.`;
}
