/** Requests by curl, to be pasted into a shell where `url` is the address of the server. */
import type { Parameter, Route, Schema } from '../api/route';
import { bodySchema } from './contents';
import { isSchema } from './endpoint';
import { actionOf } from './operations';
import { resolved } from './schemas';
import type { Subject } from './subject';

/** The shell function that signs a request; {@link SIGNING} and {@link SIGNING_BY_OPENSSL} define it. */
const SIGNED = 'signed';

/** Defines a curl that signs, with the program that comes with the server. */
export const SIGNING = `export IMGAPI_CLI_USER=alice IMGAPI_CLI_IDENTITY=~/.ssh/id_ed25519
signed() { imgapi-sign | curl -H @- "$@"; }`;

/** The same by what every machine has; needs `user`, and `key`, the path of an RSA key in PEM form. */
export const SIGNING_BY_OPENSSL = `user=alice
key=~/.ssh/id_rsa
signed() {
    date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
    signature=$(printf 'date: %s' "$date" | openssl dgst -sha256 -sign "$key" | openssl base64 -A)
    curl -H "Date: $date" \\
        -H "Authorization: Signature keyId=\\"$user\\",algorithm=\\"rsa-sha256\\",signature=\\"$signature\\"" "$@"
}`;

/** A request to the route. What has to be put in place of words in capitals, the page tells. */
export function curlExample(route: Route, { server }: Subject): string {
    const { method, path, answers, body, auth, status } = route;
    const command = auth === 'strict' && server?.signatures !== false ? SIGNED : 'curl';
    const json = body === 'json' ? bodySchema(route.name) : undefined;
    const options = [
        ...(answers === 'nothing' || status === 301 ? ['-i'] : []),
        ...(answers === 'bytes' && !isText(route) ? [`-o ${path.split('/').at(-1) ?? 'file'}`] : []),
        ...(method === 'DELETE' || (method === 'POST' && !json) ? [`-X ${method}`] : []),
        ...(body === 'bytes' ? [`-T FILE`] : []),
        ...(body === 'bytes' && route.bodyTypes
            ? [`-H 'Content-Type: ${route.bodyTypes.at(-1) ?? ''}'`]
            : []),
    ];
    const target = `"$url${path.replace(/:(\w+)/g, (_, name: string) => `$${name}`)}${queryOf(route)}"`;
    const request = [command, ...options, target].join(' ');
    if (!json) {
        return request;
    }
    const sent = JSON.stringify(sample(json)).replaceAll("'", "'\\''");
    return [`${request} \\`, `    -H 'Content-Type: application/json' \\`, `    -d '${sent}'`].join('\n');
}

/** Whether a terminal can show the answer. */
function isText({ contentTypes = [] }: Route): boolean {
    return contentTypes.length > 0 && contentTypes.every((type) => /^text\/|\/json$/.test(type));
}

/** The action and what is needed beside it. */
function queryOf(route: Route): string {
    const action = actionOf(route);
    const needed = route.parameters.filter(
        ({ name, required, example }) =>
            (required === true || example !== undefined) && !(name === 'action' && action),
    );
    const parts = [
        ...(action ? [`action=${action}`] : []),
        ...needed.map((parameter) => `${parameter.name}=${sampleValue(parameter)}`),
    ];
    return parts.length > 0 ? `?${parts.join('&')}` : '';
}

function sampleValue({ name, schema, example }: Parameter): string {
    const [value] = Array.isArray(schema?.enum) ? (schema.enum as unknown[]) : [];
    return example ?? (typeof value === 'string' ? value : name.toUpperCase());
}

/** A value that the schema allows: its example, or one with the fields that it requires. */
export function sample(schema: Schema): unknown {
    const known = resolved(schema);
    const { examples, const: constant, enum: values, type, properties, required, items } = known;
    if (Array.isArray(examples)) {
        return examples[0];
    }
    if (constant !== undefined) {
        return constant;
    }
    if (Array.isArray(values)) {
        return values[0];
    }
    switch (type) {
        case 'array':
            return isSchema(items) ? [sample(items)] : [];
        case 'boolean':
            return true;
        case 'integer':
        case 'number':
            return 1;
        case 'object': {
            const fields = isSchema(properties) ? properties : {};
            const needed = Array.isArray(required) ? (required as string[]) : [];
            return Object.fromEntries(
                needed.map((name) => {
                    const field = fields[name];
                    return [name, isSchema(field) ? sample(field) : name.toUpperCase()];
                }),
            );
        }
        default:
            return known.format === 'uuid' ? '930896af-bf8c-48d4-885c-6573a94b1853' : 'TEXT';
    }
}
