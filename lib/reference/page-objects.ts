/** /docs/objects.html: what the JSON of requests and answers holds. */
import type { Route, Schema } from '../api/route';
import { answerSchema, bodySchema } from './contents';
import { isSchema, typeText } from './endpoint';
import { block, code, link, markup, paragraph, prose, table, type Html, type Part } from './html';
import { page } from './layout';
import { described, ref, referredName, usedSchemas } from './schemas';
import type { Subject } from './subject';

export function objectsPage({ routes }: Subject): string {
    const objects = Object.entries(usedSchemas([...routes.flatMap(schemasOf), ref('Error')]));
    const entries = objects.map(([name]) => ({ id: name, title: name }));
    return page({ href: 'objects.html', title: 'Objects', entries }, [
        paragraph(
            'The JSON of requests and answers. Whoever reads it should pass over fields that are not described here. ' +
                'The same as JSON Schemas stands in ',
            link('openapi.json', 'openapi.json'),
            '.',
        ),
        objects.map(([name, schema]) => section(name, schema)),
    ]);
}

function schemasOf({ name, answers, body }: Route): Schema[] {
    const taken = body === 'json' ? bodySchema(name) : undefined;
    return [...(answers === 'json' ? [answerSchema(name)] : []), ...(taken ? [taken] : [])];
}

/** What a schema allows, in a few words, with a link to the object that it is or lists. */
export function schemaLink(schema: Schema, page = ''): Part {
    const name = referredName(schema);
    if (name !== undefined) {
        return link(`${page}#${name}`, name);
    }
    const { items } = schema;
    return isSchema(items) ? ['list of ', schemaLink(items, page)] : prose(typeText(schema));
}

function section(name: string, schema: Schema): Html {
    const { properties, items, examples } = schema;
    const [example] = Array.isArray(examples) ? (examples as unknown[]) : [];
    return markup`<section>
<h2 id="${name}">${link(`#${name}`, name)}</h2>
${[
    paragraph(prose(described(schema))),
    isSchema(properties) ? fieldTable(schema, properties) : undefined,
    isSchema(items) ? paragraph('A ', schemaLink(schema), '.') : undefined,
    example === undefined ? undefined : [paragraph('For example:'), block(JSON.stringify(example, null, 2))],
]}</section>
`;
}

function fieldTable({ required }: Schema, properties: Schema): Html {
    const needed = new Set(Array.isArray(required) ? (required as unknown[]) : []);
    const fields = Object.entries(properties).flatMap(([name, field]) =>
        isSchema(field) ? [{ name, field }] : [],
    );
    return table(
        'Fields',
        ['Name', 'Value', 'Meaning'],
        fields.map(({ name, field }) => ({
            cells: [
                [code(name), needed.has(name) ? markup` <span class="note">always</span>` : undefined],
                schemaLink(field),
                [prose(described(field)), limits(field)],
            ],
        })),
    );
}

function limits({ maxLength }: Schema): string | undefined {
    return typeof maxLength === 'number' ? ` At most ${maxLength} characters.` : undefined;
}
