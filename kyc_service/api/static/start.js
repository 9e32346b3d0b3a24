// A file of its own, because the content security policy allows no script inside the page.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  persistAuthorization: false, // an access token is not left behind in the browser
  validatorUrl: null, // nothing is asked of anybody else
});
