/** Which JSON the routes take and answer with; the rest of what a route is stands in its row. */
import type { Schema } from '../api/route';
import { ref } from './schemas';

/** What a route answers with as JSON, where that is no manifest. */
const ANSWERS: Readonly<Record<string, Schema>> = {
    Ping: ref('Ping'),
    AdminGetState: ref('State'),
    AdminReloadAuthKeys: ref('Nothing'),
    ListChannels: { type: 'array', items: ref('Channel') },
    ListImages: { type: 'array', items: ref('Manifest') },
    ListJobs: { type: 'array', items: ref('Job') },
    ListImageJobs: { type: 'array', items: ref('Job') },
    GetJob: ref('Job'),
    CancelJob: ref('Job'),
    CreateImageFromVm: ref('StartedJob'),
    AdminImportRemoteImage: ref('StartedJob'),
    ImportFromDatacenter: ref('StartedJob'),
    ExportImage: ref('ExportedImage'),
};

/** A JSON body is read, but there is nothing in it that the route wants. */
const UNUSED = undefined;

/** What a route takes as JSON. */
const BODIES: Readonly<Record<string, Schema | undefined>> = {
    CreateImage: ref('NewManifest'),
    CreateImageFromVm: ref('MachineManifest'),
    AddImageFileFromUrl: ref('FileUrl'),
    AdminChangeImageStor: UNUSED,
    ExportImage: UNUSED,
    AdminImportImage: ref('ImportedManifest'),
    AdminImportRemoteImage: UNUSED,
    ImportFromDatacenter: UNUSED,
    ActivateImage: UNUSED,
    EnableImage: UNUSED,
    DisableImage: UNUSED,
    ChannelAddImage: ref('ChannelName'),
    UpdateImage: ref('ManifestChange'),
    AddImageAcl: ref('Accounts'),
    RemoveImageAcl: ref('Accounts'),
};

/** Routes that have a line in the tables above. */
export const NAMED_ANSWERS: readonly string[] = Object.keys(ANSWERS);
export const NAMED_BODIES: readonly string[] = Object.keys(BODIES);

/** What a JSON answer of the route holds: a manifest, if nothing else is known. */
export function answerSchema(name: string): Schema {
    return ANSWERS[name] ?? ref('Manifest');
}

/** What the JSON body of the route holds; undefined if the route has no use for it. */
export function bodySchema(name: string): Schema | undefined {
    return BODIES[name];
}
