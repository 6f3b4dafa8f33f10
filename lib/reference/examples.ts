/** Requests by curl, to be pasted into a shell where `url` is the address of the server. */
import type { Parameter, Route, Schema } from '../api/route';
import { isSchema } from './endpoint';
import { actionOf } from './operations';
import { bodySchema, resolved } from './schemas';
import type { Subject } from './subject';

/** The shell function that signs a request; {@link SIGNING} defines it. */
const SIGNED = 'signed';

/** Defines a curl that signs; needs `user`, and `key`, the path of an RSA key in PEM form. */
export const SIGNING = `user=alice
key=~/.ssh/id_rsa
signed() {
    date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
    signature=$(printf 'date: %s' "$date" | openssl dgst -sha256 -sign "$key" | openssl base64 -A)
    curl -H "Date: $date" \\
        -H "Authorization: Signature keyId=\\"$user\\",algorithm=\\"rsa-sha256\\",signature=\\"$signature\\"" "$@"
}`;

/** A request to the route; undefined for those that are made by following links. */
export function curlExample(route: Route, { server }: Subject): string {
    const { method, path, answers, body, auth, status } = route;
    const command = auth === 'strict' && server?.signatures !== false ? SIGNED : 'curl';
    const json = body === 'json' ? bodySchema(route.name) : undefined;
    const options = [
        ...(answers === 'nothing' || status === 301 ? ['-i'] : []),
        ...(answers === 'bytes' && path.includes(':') ? [`-o ${path.split('/').at(-1) ?? 'file'}`] : []),
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

/** The action and what is required beside it. */
function queryOf(route: Route): string {
    const action = actionOf(route);
    const required = route.parameters.filter(
        (parameter) => parameter.required === true && !(parameter.name === 'action' && action),
    );
    const parts = [
        ...(action ? [`action=${action}`] : []),
        ...required.map((parameter) => `${parameter.name}=${sampleValue(parameter)}`),
    ];
    return parts.length > 0 ? `?${parts.join('&')}` : '';
}

function sampleValue({ name, schema }: Parameter): string {
    const [value] = Array.isArray(schema?.enum) ? (schema.enum as unknown[]) : [];
    return typeof value === 'string' ? value : name.toUpperCase();
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
