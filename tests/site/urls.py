from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from tests.site import guest, metrics, views

articles = (
    [
        path("", views.plain, name="list"),
        path("<int:pk>/", views.plain, name="detail"),
        path("<int:pk>/comments/<slug:slug>/", views.plain_async, name="comment"),
    ],
    "articles",
)
api: list[URLPattern | URLResolver] = [
    path("articles/", include(articles, namespace="v1-articles")),
    re_path(r"^years/(?P<year>[0-9]{4})/$", views.plain, name="year"),
]

urlpatterns = [
    path("", views.plain, name="home"),
    path("plain/", views.plain, name="plain"),
    path("plain-async/", views.plain_async, name="plain-async"),
    path("unnamed/", views.plain),
    path("measured/", metrics.measured),
    path("current/", views.current),
    path("current-async/", views.current_async),
    path("api/v1/", include(api)),
    re_path(r"^old/(?P<slug>[^/]+)/$", views.plain),
    path("guest/", guest.work),
    path("methods/", views.Methods.as_view(), name="methods"),
    path("methods-async/", views.MethodsAsync.as_view(), name="methods-async"),
    path("callable/", views.Instance(), name="callable"),
    path("raises/", views.raises, name="raises"),
    path("raises-async/", views.raises_async, name="raises-async"),
    path("raises-404/", views.raises_not_found),
    path("raises-403/", views.raises_denied),
    path("raises-400/", views.raises_suspicious),
    path("answers-500/", views.answers_500),
    path("no-content/", views.no_content),
    path("moved/", views.moved),
    path("template/", views.template),
    path("queries/<int:count>/", views.queries),
    path("small-parts/<int:count>/", views.small_parts),
    path("small-queries/<int:count>/", views.small_queries),
    path("slow/", views.slow),
    path("slow-async/", views.slow_async),
    path("file/", views.file),
    path("stream/", views.stream),
    path("stream-raises/", views.stream_raises),
    path("stream-long/", views.stream_long),
    path("stream-list/", views.stream_list),
    path("stream-async/", views.stream_async),
    path("stream-async-raises/", views.stream_async_raises),
    path("nested-async/", views.nested_async),
    path("context/", views.context),
    path("own-request-id/", views.own_request_id),
    path("own-timing/", views.own_timing),
    path("user-async/", views.user_async),
    path("user/", views.user),
    path("user-untouched/", views.user_untouched),
    path("reset/<uidb64>/<token>/", views.plain, name="reset"),
    path("any/<path:rest>", views.plain, name="any"),
    path("secrets/", include("tests.site.secrets")),
    path("logs/", include("tests.site.logs")),
    path("", include("tests.site.background")),
    path("monitoring/", include("otel_django.urls")),
    path("", include("otel_django.probe_urls")),
]
