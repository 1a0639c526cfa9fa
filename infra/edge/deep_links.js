// Runs on requests for pages of the frontend, which are one file: a path whose last part has no extension is a place inside
// the application. A path with an extension is a file, so a missing one stays missing (404) and never becomes a page.
function handler(event) {
    var request = event.request;
    var last = request.uri.substring(request.uri.lastIndexOf('/') + 1);
    if (last.indexOf('.') === -1) {
        request.uri = '/index.html';
    }
    return request;
}
